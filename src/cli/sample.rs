//! The sample records of a small shop, made from a seed: products, price and stock changes, user activity, e-mails.
//!
//! The files in `data/` are what this makes from [`SEED`]; a test compares them. The demo makes more of the same.
//! Records are in the order of their timestamps, and what is keyed has a number `seq` that rises by one for each key, so that a
//! reader can tell a gap, a double or a change of order.

use std::collections::BTreeMap;

use serde::Serialize;

/// The seed of the files in `data/`.
pub const SEED: u64 = 7;

/// 2026-01-15 08:00:00 UTC in ms: when the first record of every kind happens.
const FIRST_MS: i64 = 1_768_464_000_000;

/// People who use the shop.
const USERS: u64 = 50;

/// What a sample is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SampleKind {
    /// The catalogue, keyed by article number.
    Products,
    /// Price and stock changes, keyed by article number.
    Prices,
    /// What users do in the shop, keyed by user.
    Activity,
    /// E-mails to be sent, without key.
    Emails,
}

impl SampleKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Products, Self::Prices, Self::Activity, Self::Emails];

    /// Name of its file in `data/` without `.ndjson`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Prices => "prices",
            Self::Activity => "activity",
            Self::Emails => "emails",
        }
    }

    /// Records in its file.
    pub fn file_records(self) -> usize {
        match self {
            Self::Products => PRODUCTS.len(),
            Self::Prices => 1_500,
            Self::Activity => 2_000,
            Self::Emails => 500,
        }
    }
}

/// One record to produce.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SampleRecord {
    /// The key; `None` for e-mails.
    pub key: Option<String>,
    /// JSON.
    pub value: String,
    /// Names and values, possibly with one name twice.
    pub headers: Vec<(String, String)>,
    /// When it happened, in ms since 1970.
    pub timestamp_ms: i64,
}

impl SampleRecord {
    /// One line of what `weir produce -J` takes, without line end.
    pub fn to_json_line(&self) -> String {
        let headers = self.headers.iter().map(|(key, value)| HeaderLine { key, value }).collect();
        let timestamp = self.timestamp_ms;
        to_json(&RecordLine { key: self.key.as_deref(), value: &self.value, headers, timestamp })
    }
}

#[derive(Serialize)]
struct RecordLine<'a> {
    key: Option<&'a str>,
    value: &'a str,
    headers: Vec<HeaderLine<'a>>,
    timestamp: i64,
}

#[derive(Serialize)]
struct HeaderLine<'a> {
    key: &'a str,
    value: &'a str,
}

/// The first `count` records of a kind that follow from `seed`; more than the whole catalogue of products there are not.
pub fn events(kind: SampleKind, seed: u64, count: usize) -> Vec<SampleRecord> {
    // WHY: each kind draws its own numbers, so that asking for more of one does not change another.
    let mut shop = Shop::new(seed ^ (kind as u64) << 32, catalogue(seed));
    match kind {
        SampleKind::Products => shop.products.iter().take(count).map(Product::record).collect(),
        SampleKind::Prices => (0..count).map(|_| shop.price_or_stock()).collect(),
        SampleKind::Activity => (0..count).map(|_| shop.activity()).collect(),
        SampleKind::Emails => (0..count).map(|index| shop.email(index)).collect(),
    }
}

/// SplitMix64. WHY not a crate: the files must stay the same when a crate changes its numbers.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number below `bound`, small ones far more often: a few products and users make most of the traffic.
    fn skewed(&mut self, bound: u64) -> u64 {
        self.below(bound).min(self.below(bound)).min(self.below(bound))
    }
}

#[derive(Clone, Serialize)]
struct Product {
    sku: String,
    name: &'static str,
    category: &'static str,
    price_cents: i64,
    currency: &'static str,
    stock: i64,
}

impl Product {
    fn record(&self) -> SampleRecord {
        let headers = vec![("category".to_owned(), self.category.to_owned())];
        SampleRecord { key: Some(self.sku.clone()), value: to_json(self), headers, timestamp_ms: FIRST_MS }
    }
}

fn catalogue(seed: u64) -> Vec<Product> {
    let mut draw = Draw(seed);
    let product = |(index, (category, name)): (usize, &(&'static str, &'static str))| Product {
        sku: format!("SKU-{:04}", 1001 + index),
        name,
        category,
        price_cents: 195 + 100 * (draw.skewed(120) as i64),
        currency: "EUR",
        stock: 20 + draw.below(180) as i64,
    };
    PRODUCTS.iter().enumerate().map(product).collect()
}

struct Shop {
    draw: Draw,
    now_ms: i64,
    products: Vec<Product>,
    sequences: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct PriceChange<'a> {
    kind: &'static str,
    sku: &'a str,
    seq: u64,
    old_price_cents: i64,
    price_cents: i64,
    currency: &'static str,
}

#[derive(Serialize)]
struct StockChange<'a> {
    kind: &'static str,
    sku: &'a str,
    seq: u64,
    change: i64,
    stock: i64,
}

#[derive(Serialize)]
struct Action<'a> {
    user: &'a str,
    seq: u64,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<&'a str>,
    page: &'static str,
}

#[derive(Serialize)]
struct Email {
    id: String,
    template: &'static str,
    to: String,
    subject: String,
    language: &'static str,
}

impl Shop {
    fn new(seed: u64, products: Vec<Product>) -> Self {
        Self { draw: Draw(seed), now_ms: FIRST_MS, products, sequences: BTreeMap::new() }
    }

    /// Lets up to `most_ms` pass and tells the time.
    fn later(&mut self, most_ms: u64) -> i64 {
        self.now_ms += self.draw.below(most_ms) as i64;
        self.now_ms
    }

    /// Counts the records of a key from 1.
    fn sequence(&mut self, key: &str) -> u64 {
        let sequence = self.sequences.entry(key.to_owned()).or_default();
        *sequence += 1;
        *sequence
    }

    fn price_or_stock(&mut self) -> SampleRecord {
        let timestamp_ms = self.later(4_000);
        let index = self.draw.skewed(self.products.len() as u64) as usize;
        let sku = self.products[index].sku.clone();
        let seq = self.sequence(&sku);
        let (source, value) = match self.draw.below(3) {
            0 => ("pricing", self.price_change(index, &sku, seq)),
            _ => ("warehouse", self.stock_change(index, &sku, seq)),
        };
        let headers = vec![("source".to_owned(), source.to_owned())];
        SampleRecord { key: Some(sku), value, headers, timestamp_ms }
    }

    fn price_change(&mut self, index: usize, sku: &str, seq: u64) -> String {
        let percent = 85 + self.draw.below(31) as i64;
        let product = &mut self.products[index];
        let old_price_cents = product.price_cents;
        product.price_cents = (old_price_cents * percent / 100).max(95);
        let (price_cents, currency) = (product.price_cents, product.currency);
        to_json(&PriceChange { kind: "price", sku, seq, old_price_cents, price_cents, currency })
    }

    fn stock_change(&mut self, index: usize, sku: &str, seq: u64) -> String {
        let sold = 1 + self.draw.skewed(6) as i64;
        let delivered = 50 + self.draw.below(100) as i64;
        let product = &mut self.products[index];
        let change = if product.stock >= sold { -sold } else { delivered };
        product.stock += change;
        to_json(&StockChange { kind: "stock", sku, seq, change, stock: product.stock })
    }

    fn activity(&mut self) -> SampleRecord {
        let timestamp_ms = self.later(2_500);
        let user = format!("user-{:02}", 1 + self.draw.skewed(USERS));
        let seq = self.sequence(&user);
        let (action, page) = match self.draw.below(20) {
            _ if seq == 1 => ("login", "home"),
            0..=10 => ("view", "product"),
            11..=14 => ("search", "search"),
            15..=17 => ("add_to_cart", "product"),
            18 => ("remove_from_cart", "cart"),
            _ => ("order", "checkout"),
        };
        let product = self.draw.skewed(self.products.len() as u64) as usize;
        let sku = (page == "product" || page == "cart").then(|| self.products[product].sku.as_str());
        let value = to_json(&Action { user: &user, seq, action, sku, page });
        let device = ["phone", "laptop", "tablet"][self.draw.skewed(3) as usize];
        let headers = vec![("device".to_owned(), device.to_owned())];
        SampleRecord { key: Some(user), value, headers, timestamp_ms }
    }

    fn email(&mut self, index: usize) -> SampleRecord {
        let timestamp_ms = self.later(12_000);
        let (template, language, subject) = EMAILS[self.draw.below(EMAILS.len() as u64) as usize];
        let product = self.products[self.draw.skewed(self.products.len() as u64) as usize].name;
        let value = to_json(&Email {
            id: format!("mail-{:06}", index + 1),
            template,
            to: format!("user-{:02}@example.org", 1 + self.draw.skewed(USERS)),
            subject: subject.replace("{}", product),
            language,
        });
        let mut headers = vec![("template".to_owned(), template.to_owned())];
        // WHY: a name that comes twice, as real headers do; it must come out twice and in this order.
        headers.extend(["accepted", "rendered"].map(|step| ("step".to_owned(), step.to_owned())));
        SampleRecord { key: None, value, headers, timestamp_ms }
    }
}

/// Template, language and subject of e-mails; `{}` is a product.
const EMAILS: [(&str, &str, &str); 6] = [
    ("order_confirmed", "en", "Your order: {}"),
    ("order_confirmed", "de", "Ihre Bestellung: {}"),
    ("order_shipped", "en", "On its way to you: {}"),
    ("order_shipped", "fr", "Votre colis est expédié : {}"),
    ("back_in_stock", "en", "{} is back"),
    ("back_in_stock", "pl", "{} – znów dostępne"),
];

/// Category and name of each product.
const PRODUCTS: [(&str, &str); 40] = [
    ("kitchen", "Enamel mug"),
    ("kitchen", "Cast-iron pan"),
    ("kitchen", "Bread knife"),
    ("kitchen", "Olive-wood spoon"),
    ("kitchen", "Moka pot"),
    ("kitchen", "Crème brûlée set"),
    ("kitchen", "Salt mill"),
    ("kitchen", "Tea strainer"),
    ("garden", "Watering can"),
    ("garden", "Hand trowel"),
    ("garden", "Terracotta pot"),
    ("garden", "Tomato seeds"),
    ("garden", "Bird feeder"),
    ("garden", "Jute twine"),
    ("garden", "Pruning shears"),
    ("garden", "Rain gauge"),
    ("desk", "Fountain pen"),
    ("desk", "Dotted notebook"),
    ("desk", "Brass ruler"),
    ("desk", "Desk lamp"),
    ("desk", "Paper clips"),
    ("desk", "Cork board"),
    ("desk", "Letter opener"),
    ("desk", "Ink, night blue"),
    ("home", "Wool blanket"),
    ("home", "Beeswax candle"),
    ("home", "Linen towel"),
    ("home", "Door mat"),
    ("home", "Wall clock"),
    ("home", "Coat hook"),
    ("home", "Laundry basket"),
    ("home", "Żółty wazon"),
    ("play", "Chess set"),
    ("play", "Wooden train"),
    ("play", "Jigsaw, 1,000 pieces"),
    ("play", "Kite"),
    ("play", "Marbles"),
    ("play", "Playing cards"),
    ("play", "Skipping rope"),
    ("play", "Spinning top"),
];

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain structs of text and numbers always encode")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file_text(kind: SampleKind) -> String {
        let records = events(kind, SEED, kind.file_records());
        records.iter().map(|record| record.to_json_line() + "\n").collect()
    }

    /// With `WEIR_BLESS=1` in the environment it writes the files instead.
    #[test]
    #[allow(clippy::disallowed_methods)]
    fn the_files_are_what_the_generator_makes() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data");
        for kind in SampleKind::ALL {
            let path = folder.join(kind.name()).with_extension("ndjson");
            let made = file_text(kind);
            if std::env::var_os("WEIR_BLESS").is_some_and(|bless| bless == "1") {
                std::fs::write(&path, made).expect("the data folder is writable");
                continue;
            }
            let stored = std::fs::read_to_string(&path).expect("the file exists");
            assert!(stored == made, "{} differs; run this test with WEIR_BLESS=1", path.display());
        }
    }

    #[test]
    fn a_longer_run_begins_like_a_shorter_one_and_another_seed_differs() {
        for kind in SampleKind::ALL {
            let long = events(kind, 1, 30);
            assert_eq!(events(kind, 1, 10), long[..10]);
            assert_ne!(events(kind, 2, 30), long);
        }
        assert_eq!(events(SampleKind::Products, 1, 1_000).len(), 40);
    }

    #[test]
    fn sequences_of_a_key_rise_by_one_and_time_never_falls() {
        for kind in [SampleKind::Prices, SampleKind::Activity] {
            let mut last: BTreeMap<String, u64> = BTreeMap::new();
            let records = events(kind, SEED, kind.file_records());
            for record in &records {
                let value: serde_json::Value = serde_json::from_str(&record.value).expect("JSON");
                let seen = last.entry(record.key.clone().expect("a key")).or_default();
                *seen += 1;
                assert_eq!(value["seq"], *seen);
            }
            assert!(records.is_sorted_by_key(|record| record.timestamp_ms));
            assert!(last.len() >= 35, "{kind:?}: {} keys", last.len());
        }
    }

    #[test]
    fn stock_follows_its_changes_and_never_falls_below_zero() {
        let mut stock: BTreeMap<String, i64> =
            catalogue(SEED).into_iter().map(|product| (product.sku, product.stock)).collect();
        for record in events(SampleKind::Prices, SEED, 5_000) {
            let value: serde_json::Value = serde_json::from_str(&record.value).expect("JSON");
            let Some(change) = value["change"].as_i64() else { continue };
            let held = stock.get_mut(&record.key.expect("a key")).expect("a known product");
            *held += change;
            assert_eq!(value["stock"], *held);
            assert!(*held >= 0);
        }
    }

    #[test]
    fn a_line_has_the_fields_of_consume() {
        let record = SampleRecord {
            key: None,
            value: "{\"a\":\"b\"}".to_owned(),
            headers: vec![("step".to_owned(), "x".to_owned()), ("step".to_owned(), "y".to_owned())],
            timestamp_ms: 5,
        };
        let line = r#"{"key":null,"value":"{\"a\":\"b\"}","headers":[{"key":"step","value":"x"},{"key":"step","value":"y"}],"timestamp":5}"#;
        assert_eq!(record.to_json_line(), line);
        assert!(events(SampleKind::Emails, SEED, 50).iter().all(|record| record.key.is_none()));
    }
}
