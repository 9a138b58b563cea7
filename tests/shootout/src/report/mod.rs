//! Tables and plots of what was measured.
//!
//! `results/*.md` get everything; the tables of README files are replaced between the lines `<!-- table: name -->` and
//! `<!-- end of table -->`, so that they cannot drift from what was measured.

mod plots;
mod tables;

use std::fs;
use std::path::Path;

#[cfg(feature = "loopback")]
pub use tables::loopback as loopback_table;

use anyhow::{Context, bail};

use crate::fairness::Shares;
use crate::instructions::Cost;
use crate::peer;
use crate::results::Results;
use crate::scenario::Scenario;
use crate::simulate::Measured;

/// Writes everything that can be written from what is there.
///
/// # Errors
/// If a file cannot be written, or a README asks for a table that there is not.
pub fn write(scenarios: &[Scenario], results: &Results) -> anyhow::Result<()> {
    let rows: Vec<Measured> = results.load()?;
    let mut named = Vec::new();
    if !rows.is_empty() {
        let tables = tables::Simulated { rows: &rows, scenarios, peers: peer::delivering() };
        let mut page = String::from("# Over the simulated links\n\n");
        page += "Written by `shootout report`; `../README.md` explains.\n";
        for (name, title, table) in tables.all() {
            page += &format!("\n## {title}\n\n{table}");
            named.push((name.to_owned(), table));
        }
        named.extend(tables.short());
        fs::write(results.file("simulation.md"), page)?;
        for scenario in scenarios {
            plots::latency(scenario, &rows, &results.file(&format!("latency-{}.svg", scenario.name)))?;
            plots::bulk(scenario, &rows, &results.file(&format!("bulk-{}.svg", scenario.name)))?;
        }
    }
    let costs: Vec<Cost> = results.load()?;
    if !costs.is_empty() {
        named.push(("instructions".into(), tables::instructions(&costs)?));
    }
    let shares: Vec<Shares> = results.load()?;
    if !shares.is_empty() {
        named.push(("fairness".into(), tables::fairness(&shares)));
    }
    #[cfg(feature = "loopback")]
    {
        let rates: Vec<crate::loopback::Rate> = results.load()?;
        if !rates.is_empty() {
            named.push(("loopback".into(), tables::loopback(&rates)));
        }
    }
    for readme in ["../README.md", "../../../README.md"] {
        replace_tables(&results.file(readme), &named)?;
    }
    Ok(())
}

const BEGIN: &str = "<!-- table: ";
const END: &str = "<!-- end of table -->";

fn replace_tables(file: &Path, tables: &[(String, String)]) -> anyhow::Result<()> {
    let old = fs::read_to_string(file).with_context(|| format!("no {}", file.display()))?;
    let (mut new, mut rest) = (String::new(), old.as_str());
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(" -->\n").with_context(|| format!("in {}", file.display()))?;
        let Some((table, after)) = after.split_once(END) else {
            bail!("table {name} of {} has no end", file.display());
        };
        // What was not measured here stays as it was.
        let table = tables.iter().find(|(n, _)| n == name).map_or(table, |(_, new)| new);
        new += &format!("{before}{BEGIN}{name} -->\n{table}{END}");
        rest = after;
    }
    new += rest;
    if new != old {
        fs::write(file, new)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() -> anyhow::Result<()> {
        let file = std::env::temp_dir().join(format!("ackline-shootout-{}.md", std::process::id()));
        fs::write(
            &file,
            "a\n<!-- table: x -->\nold\n<!-- end of table -->\nb\n<!-- table: y -->\nkept\n<!-- end of table -->\n",
        )?;
        replace_tables(&file, &[("x".into(), "new\n".into())])?;
        let text = fs::read_to_string(&file)?;
        fs::remove_file(&file)?;
        assert_eq!(
            text,
            "a\n<!-- table: x -->\nnew\n<!-- end of table -->\nb\n<!-- table: y -->\nkept\n<!-- end of table -->\n"
        );
        Ok(())
    }
}
