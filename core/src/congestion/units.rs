//! Conversions between bytes, microseconds and bytes per second, without a 64-bit division.

/// Bytes per second at which `bytes` pass in `micros`; zero microseconds count as one. Precise to 0.4 % up to 8 seconds,
/// at most `u32::MAX`.
pub(super) const fn rate_of(bytes: u32, micros: u32) -> u32 {
    if bytes == 0 {
        return 0;
    }
    let micros = if micros == 0 { 1 } else { micros };
    let shift = bytes.leading_zeros();
    let scaled = ((bytes << shift) / micros) as u64 * 1_000_000;
    let rate = scaled >> shift;
    if rate > u32::MAX as u64 { u32::MAX } else { rate as u32 }
}

/// Bytes that pass in `micros` at `rate` bytes per second, rounded down, at most `u32::MAX`.
pub(super) const fn bytes_in(rate: u32, micros: u32) -> u32 {
    // 2^52 / 1_000_000 keeps 20 bits of fraction below the 32 that are shifted out first.
    let product = (rate as u64 * micros as u64) >> 20;
    let bytes = product.saturating_mul(((1u64 << 40) / 1_000_000) + 1) >> 20;
    if bytes > u32::MAX as u64 { u32::MAX } else { bytes as u32 }
}

/// `value × numerator / 1024`, at most `u32::MAX`.
pub(super) const fn scale(value: u32, numerator: u32) -> u32 {
    let v = (value as u64 * numerator as u64) >> 10;
    if v > u32::MAX as u64 { u32::MAX } else { v as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_agree_with_exact_arithmetic() {
        for bytes in [1u32, 127, 1472, 65_000, 1 << 24, u32::MAX] {
            for micros in [0u32, 1, 50, 333, 40_000, 8_000_000] {
                let exact = u64::from(bytes) * 1_000_000 / u64::from(micros.max(1));
                let rate = u64::from(rate_of(bytes, micros));
                let exact = exact.min(u64::from(u32::MAX));
                assert!(rate <= exact && rate + exact / 250 + 1 >= exact, "{bytes} {micros}: {rate} {exact}");
            }
        }
        for rate in [120u32, 1_200, 2_500_000, 125_000_000, 1_250_000_000, u32::MAX] {
            for micros in [0u32, 1, 50, 40_000, 5_000_000, u32::MAX] {
                let exact = (u64::from(rate) * u64::from(micros) / 1_000_000).min(u64::from(u32::MAX));
                let got = u64::from(bytes_in(rate, micros));
                assert!(got.abs_diff(exact) <= exact / 1000 + 2, "{rate} {micros}: {got} {exact}");
            }
        }
        assert_eq!((scale(1000, 1024), scale(1000, 512), scale(u32::MAX, 2048)), (1000, 500, u32::MAX));
    }
}
