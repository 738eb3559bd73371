//! Topics and partitions as `-t TOPIC[:N,..]` names them. Pure.

/// A topic, or some of its partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    /// Name of the topic.
    pub topic: String,
    /// Its partitions; none means all.
    pub partitions: Vec<i32>,
}

impl Selection {
    /// Reads `TOPIC` or `TOPIC:N,N`.
    ///
    /// Errors: what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (topic, numbers) = text.split_once(':').unwrap_or((text, ""));
        if topic.is_empty() {
            return Err("it names no topic; write orders or orders:0,3".to_owned());
        }
        let number = |word: &str| match word.parse::<i32>() {
            Ok(number) if number >= 0 => Ok(number),
            _ => Err(format!("'{word}' is no partition; write orders or orders:0,3")),
        };
        let partitions = match text.contains(':') {
            true => numbers.split(',').map(number).collect::<Result<_, _>>()?,
            false => Vec::new(),
        };
        Ok(Self { topic: topic.to_owned(), partitions })
    }

    /// Whether one of `all` has this partition; where there is none, everything is chosen.
    pub(super) fn choose(all: &[Self], topic: &str, partition: i32) -> bool {
        let has = |one: &Self| {
            one.topic == topic && (one.partitions.is_empty() || one.partitions.contains(&partition))
        };
        all.is_empty() || all.iter().any(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_partitions_are_read() {
        let parsed = |text| Selection::parse(text).map(|one| (one.topic, one.partitions));
        assert_eq!(parsed("orders"), Ok(("orders".to_owned(), vec![])));
        assert_eq!(parsed("orders:0,3"), Ok(("orders".to_owned(), vec![0, 3])));
        for wrong in ["", ":1", "orders:", "orders:x", "orders:-1", "orders:1,"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_named_means_everything() {
        let some = [Selection::parse("a:1").expect("fine"), Selection::parse("b").expect("fine")];
        let chosen = |topic, partition| Selection::choose(&some, topic, partition);
        assert_eq!(
            (chosen("a", 1), chosen("a", 0), chosen("b", 7), chosen("c", 0)),
            (true, false, true, false)
        );
        assert!(Selection::choose(&[], "c", 0));
    }
}
