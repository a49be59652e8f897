//! The sampling weight in a W3C tracestate: OpenTelemetry's `ot=th:<hex>`.
//!
//! The threshold T is 1 to 14 hex digits, padded with zeros on the right to 56 bits; spans are kept with probability
//! (2^56 - T) / 2^56, so each stands for 2^56 / (2^56 - T).
//! Source: <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>.

/// How many spans this one stands for, rounded; 1 when `trace_state` does not say.
pub(super) fn weight(trace_state: &str) -> u32 {
    threshold(trace_state).map_or(1, |threshold| {
        let kept = (1u64 << 56) - threshold;
        let weight = ((1u64 << 56) + kept / 2) / kept;
        u32::try_from(weight).unwrap_or(u32::MAX)
    })
}

fn threshold(trace_state: &str) -> Option<u64> {
    let vendor = trace_state
        .split(',')
        .find_map(|member| member.trim().strip_prefix("ot="))?;
    let digits = vendor
        .split(';')
        .find_map(|entry| entry.strip_prefix("th:"))?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || digits.is_empty() || digits.len() > 14 {
        return None;
    }
    let value = u64::from_str_radix(digits, 16).ok()?;
    Some(value << (4 * (14 - digits.len())))
}

#[cfg(test)]
mod tests;
