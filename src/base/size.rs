//! Byte sizes in words.

/// Reads a size: a number with `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1,024; `K`, `KB`, `M`, … mean the same)
/// or none for bytes; `-1` (unlimited) stays -1.
///
/// Errors: a sentence that says what was expected.
pub fn parse_bytes(text: &str) -> Result<i64, String> {
    let wrong = || format!("'{text}' is not a size such as 1048576, 512KiB, 64MiB, 1GiB");
    let text = text.trim();
    if text == "-1" {
        return Ok(-1);
    }
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: i64 = text[..split].parse().map_err(|_| wrong())?;
    let shift = match text[split..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1i64 << shift).ok_or_else(wrong)
}

/// Prints a size for people: `24.7 MiB`, `512 B`.
pub fn print_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_printed() {
        assert_eq!(parse_bytes("1GiB"), Ok(1 << 30));
        assert_eq!(parse_bytes("64 kb"), Ok(65_536));
        assert_eq!(parse_bytes("-1"), Ok(-1));
        assert!(parse_bytes("lots").is_err());
        assert!(parse_bytes("9223372036854775807GiB").is_err());
        assert_eq!(print_bytes(1_572_864), "1.5 MiB");
        assert_eq!(print_bytes(14), "14 B");
    }
}
