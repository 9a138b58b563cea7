//! Plots as SVG.

use std::path::Path;

use plotters::prelude::*;

use crate::peer;
use crate::scenario::Scenario;
use crate::simulate::{Measured, QUANTILES};
use crate::workload::Workload;

const WIDTH: u32 = 900;
const HEIGHT: u32 = 460;
const LEGEND_WIDTH: u32 = 160;

/// One colour per protocol; unordered variants share it and are thinner.
fn style(peer: &str) -> ShapeStyle {
    let colour = match peer.split('-').next().unwrap_or(peer) {
        "oracle" => RGBColor(0, 0, 0),
        "ackline" => RGBColor(214, 39, 40),
        "quic" if peer.contains("bbr") => RGBColor(31, 119, 180),
        "quic" => RGBColor(140, 190, 230),
        "kcp" => RGBColor(255, 140, 0),
        "enet" => RGBColor(44, 140, 44),
        "sctp" => RGBColor(148, 103, 189),
        _ => RGBColor(127, 127, 127),
    };
    let is_variant = peer.ends_with("unordered") || peer.contains("streams");
    colour.stroke_width(if is_variant { 1 } else { 2 })
}

fn plotted(rows: &[Measured], scenario: &Scenario, workload: Workload) -> Vec<Measured> {
    let find = |name: &str| {
        rows.iter().find(|r| r.peer == name && r.scenario == scenario.name && r.workload == workload).cloned()
    };
    peer::all().iter().filter(|k| k.is_plotted).filter_map(|k| find(k.name)).collect()
}

/// W2: which share of the messages arrived within which time. Every step up the left side is ten times fewer that take
/// longer.
///
/// # Errors
/// If the file cannot be written.
pub fn latency(scenario: &Scenario, rows: &[Measured], file: &Path) -> anyhow::Result<()> {
    let rows = plotted(rows, scenario, Workload::Paced);
    let all = || rows.iter().flat_map(|r| r.latencies_ms.iter().flatten().copied()).filter(|ms| *ms > 0.0);
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    if rows.is_empty() || least > most {
        return Ok(());
    }
    let root = SVGBackend::new(file, (WIDTH, HEIGHT)).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(WIDTH - LEGEND_WIDTH);
    let nines = |quantile: f64| -(1.0 - quantile).max(1e-4).log10();
    let mut chart = ChartBuilder::on(&left)
        .caption(format!("{}: {}", scenario.name, scenario.about), ("sans-serif", 13))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((least * 0.9..most * 1.1).log_scale(), 0.0..4.0)?;
    chart
        .configure_mesh()
        .x_desc("milliseconds from when the message was due to when it was received")
        .y_desc("share of the messages that are there")
        .y_labels(5)
        .y_label_formatter(&|y| format!("{} %", (100.0 - 100.0 * 10_f64.powf(-y)) as f32))
        .light_line_style(WHITE.mix(0.0))
        .draw()?;
    for (index, row) in rows.iter().enumerate() {
        let points =
            QUANTILES.iter().zip(&row.latencies_ms).filter_map(|(q, ms)| Some(((*ms)?.max(1e-3), nines(*q))));
        chart.draw_series(LineSeries::new(points, style(&row.peer)))?;
        let y = 40 + 20 * index as i32;
        right.draw(&PathElement::new([(0, y), (20, y)], style(&row.peer)))?;
        right.draw(&Text::new(row.peer.clone(), (26, y - 6), ("sans-serif", 12)))?;
    }
    root.present()?;
    Ok(())
}

/// W1: goodput and queue, side by side.
///
/// # Errors
/// If the file cannot be written.
pub fn bulk(scenario: &Scenario, rows: &[Measured], file: &Path) -> anyhow::Result<()> {
    let rows = plotted(rows, scenario, Workload::Bulk);
    if rows.is_empty() {
        return Ok(());
    }
    let root = SVGBackend::new(file, (WIDTH, 90 + 22 * rows.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let title = format!("{}: {}", scenario.name, scenario.about);
    let (left, right) = root.titled(&title, ("sans-serif", 14))?.split_horizontally(560);
    let queue_most = rows.iter().map(|r| r.queue_ms).fold(0.1, f64::max);
    let halves = [
        (left, "goodput, % of the bound", 140, 100.0, rows.iter().map(|r| r.goodput).collect::<Vec<_>>()),
        (right, "mean wait in the queue, ms", 10, queue_most, rows.iter().map(|r| r.queue_ms).collect()),
    ];
    for (area, description, label_len, most, values) in halves {
        let count = rows.len() as f64;
        let mut chart = ChartBuilder::on(&area)
            .margin(6)
            .margin_right(24)
            .x_label_area_size(36)
            .y_label_area_size(label_len)
            .build_cartesian_2d(0.0..most * 1.12, 0.0..count)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(WHITE.mix(0.0))
            .x_desc(description)
            .draw()?;
        for (index, (row, value)) in rows.iter().zip(values).enumerate() {
            let y = count - index as f64;
            let bar = [(0.0, y - 0.85), (value, y - 0.15)];
            chart.draw_series([
                Rectangle::new(bar, style(&row.peer).color.filled()).into_dyn(),
                Text::new(format!("{value:.1}"), (value + most * 0.01, y - 0.25), ("sans-serif", 12))
                    .into_dyn(),
            ])?;
            if label_len > 100 {
                let (_, at) = chart.backend_coord(&(0.0, y - 0.25));
                let (_, top) = area.get_base_pixel();
                area.draw(&Text::new(row.peer.clone(), (6, at - top), ("sans-serif", 12)))?;
            }
        }
    }
    root.present()?;
    Ok(())
}
