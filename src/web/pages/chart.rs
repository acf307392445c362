//! Bars of a chart as the geometry of an SVG: what a stylesheet cannot tell.

/// The units of one bar with the gap after it.
const STEP: i64 = 10;
const GAP: i64 = 2;

/// One bar. Every length is in the units of the view box.
pub(super) struct Bar {
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) width: i64,
    pub(super) height: i64,
}

/// The width of so many bars.
pub(super) fn width(bars: usize) -> i64 {
    i64::try_from(bars).unwrap_or(i64::MAX / STEP) * STEP - GAP
}

/// A bar for each value, as high as `height` where a value is `top`. What is more than nothing can be seen.
pub(super) fn bars(values: &[i64], top: i64, height: i64) -> Vec<Bar> {
    let bar = |(nth, value): (i64, &i64)| {
        let tall = (i128::from(*value) * i128::from(height) / i128::from(top.max(1))).max(2);
        let tall = if *value == 0 { 0 } else { i64::try_from(tall).unwrap_or(height).min(height) };
        Bar { x: nth * STEP, y: height - tall, width: STEP - GAP, height: tall }
    };
    (0..).zip(values).map(bar).collect()
}

/// The same as one path, which is much shorter.
pub(super) fn path(values: &[i64], top: i64, height: i64) -> String {
    let bars = bars(values, top, height).into_iter().filter(|bar| bar.height > 0);
    bars.fold(String::new(), |path, b| {
        path + &format!("M{} {}h{}v{}h-{}z", b.x, b.y, b.width, b.height, b.width)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_its_value_and_never_lost() {
        let heights =
            |values: &[i64], top| bars(values, top, 100).iter().map(|b| b.height).collect::<Vec<_>>();
        assert_eq!(heights(&[0, 5, 10], 10), [0, 50, 100]);
        assert_eq!(heights(&[1], 1_000_000), [2], "a single one among a million is seen");
        assert_eq!(heights(&[i64::MAX], i64::MAX), [100]);
        assert_eq!(heights(&[0], 0), [0]);
        assert_eq!(path(&[0, 10], 10, 20), "M10 0h8v20h-8z");
        assert_eq!(width(30), 298);
    }
}
