//! What two servers may say differently because time passed: idle times and moments. Everything else
//! of a reply is compared as it is.

use resp::Value;

/// Idle times below this are how fast the servers were asked, those above were asked for.
const SHORT_IDLE_MS: i64 = 1_000_000;
/// Integers in this range are moments of the years 2020 to 2040.
const MOMENTS_MS: std::ops::Range<i64> = 1_577_836_800_000..2_208_988_800_000;

/// A reply without what depends on when it was asked for.
pub(super) fn timeless(value: &Value) -> Value {
    match value {
        Value::Integer(number) if MOMENTS_MS.contains(number) => Value::bulk("<moment>"),
        Value::Array(items) => array(items),
        Value::Map(pairs) => {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), field(name, value)));
            Value::Map(pairs.collect())
        }
        other => other.clone(),
    }
}

fn array(items: &[Value]) -> Value {
    let mut items: Vec<Value> = items.iter().map(timeless).collect();
    // A row of XPENDING: id, consumer, idle time, deliveries.
    if let [Value::Bulk(_), Value::Bulk(_), idle @ Value::Integer(_), Value::Integer(_)] =
        items.as_mut_slice()
    {
        *idle = length(idle);
    }
    // In RESP2 a map is an array of names and values.
    for pair in items.chunks_exact_mut(2) {
        pair[1] = field(&pair[0], &pair[1]);
    }
    Value::Array(items)
}

fn field(name: &Value, value: &Value) -> Value {
    match name.as_text() {
        Some("idle" | "inactive") => length(value),
        _ => timeless(value),
    }
}

fn length(value: &Value) -> Value {
    match value {
        Value::Integer(0..SHORT_IDLE_MS) => Value::bulk("<short>"),
        Value::Integer(SHORT_IDLE_MS..) => Value::bulk("<long>"),
        other => other.clone(),
    }
}

/// A reply without these fields of its maps, in either protocol's shape.
pub(super) fn without(value: &Value, names: &[&str]) -> Value {
    let is_meant = |name: &Value| name.as_text().is_some_and(|name| names.contains(&name));
    match value {
        Value::Map(pairs) => {
            let kept = pairs.iter().filter(|(name, _)| !is_meant(name));
            Value::Map(kept.map(|(name, it)| (name.clone(), without(it, names))).collect())
        }
        Value::Array(items) if items.len() % 2 == 0 => {
            let kept = items.chunks_exact(2).filter(|pair| !is_meant(&pair[0]));
            Value::Array(kept.flatten().map(|item| without(item, names)).collect())
        }
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| without(item, names)).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[Value]) -> Value {
        Value::Array(items.to_vec())
    }

    #[test]
    fn only_time_is_taken_out() {
        let row = |idle| {
            let (id, name) = (Value::bulk("1-1"), Value::bulk("c"));
            list(&[id, name, Value::Integer(idle), Value::Integer(7)])
        };
        assert_eq!(timeless(&row(3)), timeless(&row(400)));
        assert_ne!(timeless(&row(3)), timeless(&row(-1)));
        assert_ne!(timeless(&row(3)), timeless(&row(20_000_000)));
        let info = |idle, other| {
            let (name, pending) = (Value::bulk("idle"), Value::bulk("pending"));
            list(&[name, Value::Integer(idle), pending, Value::Integer(other)])
        };
        assert_eq!(timeless(&info(1, 5)), timeless(&info(2, 5)));
        assert_ne!(timeless(&info(1, 5)), timeless(&info(1, 6)));
    }

    #[test]
    fn a_field_goes_from_both_shapes() {
        let (name, value) = (Value::bulk("inactive"), Value::Integer(1));
        let (other, kept) = (Value::bulk("idle"), Value::Integer(2));
        let flat = list(&[name.clone(), value.clone(), other.clone(), kept.clone()]);
        let map = Value::Map(vec![(other.clone(), kept.clone()), (name, value)]);
        assert_eq!(without(&flat, &["inactive"]), list(&[other.clone(), kept.clone()]));
        assert_eq!(without(&map, &["inactive"]), Value::Map(vec![(other, kept)]));
    }
}
