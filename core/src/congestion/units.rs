//! Conversions between bytes, microseconds and bytes per second, without a 64-bit division; and the arithmetic for which small
//! devices should not need the library.

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
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
pub(super) const fn scale(value: u32, numerator: u32) -> u32 {
    let v = (value as u64 * numerator as u64) >> 10;
    if v > u32::MAX as u64 { u32::MAX } else { v as u32 }
}

/// `numerator / denominator`, at most `u32::MAX`; a denominator of zero counts as one.
pub(super) fn quotient(numerator: u64, denominator: u64) -> u32 {
    let denominator = if denominator == 0 { 1 } else { denominator };
    if cfg!(target_pointer_width = "64") {
        return u32::try_from(numerator / denominator).unwrap_or(u32::MAX);
    }
    // By hand: the library's division of 64 bits takes 500 bytes of flash, which nothing else here needs.
    long_division(numerator, denominator)
}

/// The same, bit by bit: as many rounds as the quotient has bits, 32 at most.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn long_division(mut rest: u64, mut part: u64) -> u32 {
    if rest >> 32 >= part {
        return u32::MAX;
    }
    let (mut bit, mut quotient) = (1u32, 0);
    while part <= rest >> 1 {
        part <<= 1;
        bit <<= 1;
    }
    while bit != 0 {
        if rest >= part {
            rest -= part;
            quotient |= bit;
        }
        part >>= 1;
        bit >>= 1;
    }
    quotient
}

/// The square root of `square`, rounded down.
pub(super) fn root(square: u32) -> u32 {
    if cfg!(target_pointer_width = "64") {
        return square.isqrt();
    }
    // By hand: the library's looks into a table of 512 bytes.
    root_by_bits(square)
}

/// The same, in 16 rounds.
fn root_by_bits(mut rest: u32) -> u32 {
    let (mut bit, mut root) = (1u32 << 30, 0);
    while bit != 0 {
        let part = root + bit;
        root >>= 1;
        if rest >= part {
            rest -= part;
            root += bit;
        }
        bit >>= 2;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_and_root_by_hand_are_those_of_the_library() {
        let values =
            [0u64, 1, 2, 3, 1023, 1024, 1 << 31, u32::MAX as u64, 1 << 32, 3 << 32, u64::MAX >> 1, u64::MAX];
        for n in values.iter().flat_map(|&v| [v.wrapping_sub(1), v, v.wrapping_add(1), v / 3, v / 7 * 5]) {
            for d in values.into_iter().chain([5, 7, 1000, 1_000_003]) {
                let exact = u32::try_from(n / d.max(1)).unwrap_or(u32::MAX);
                assert_eq!((long_division(n, d.max(1)), quotient(n, d)), (exact, exact), "{n} {d}");
            }
            let n = n as u32;
            assert_eq!(root_by_bits(n), n.isqrt(), "{n}");
        }
        for r in (0..65_536u32).step_by(97) {
            assert_eq!(
                (root_by_bits(r * r), root_by_bits((r * r).wrapping_sub(1))),
                (r, (r * r).wrapping_sub(1).isqrt())
            );
        }
    }

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
