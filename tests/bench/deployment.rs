//! Deployments and journal entries like those of a real program, the same in every run.
//!
//! Order: the stack resource, one provider, then buckets. Each fourth bucket depends on the one before it, so
//! buckets may change places in groups of four. Text compresses about six-fold, as real states do.

use std::fmt::Write;

/// Project of every stack of the bench.
pub const PROJECT: &str = "bench";
/// Buckets that must keep their order among themselves.
const GROUP: usize = 4;

/// A small fast generator of random numbers (SplitMix64).
pub struct Rng(pub u64);

impl Rng {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `n` - 1.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// The resources of one stack as JSON texts, in the order of its state.
#[derive(Clone)]
pub struct Deployment {
    stack: String,
    resource_bytes: usize,
    /// Resource JSON texts.
    pub resources: Vec<String>,
}

impl Deployment {
    /// `n_resources` (at least 2) of about `resource_bytes` each, in stack `stack`.
    pub fn new(stack: &str, n_resources: usize, resource_bytes: usize) -> Deployment {
        let mut deployment = Deployment {
            stack: stack.to_string(),
            resource_bytes,
            resources: Vec::with_capacity(n_resources),
        };
        deployment.resources.push(deployment.stack_resource());
        deployment.resources.push(deployment.provider_resource());
        for i in 2..n_resources {
            deployment.resources.push(deployment.bucket(i, 0));
        }
        deployment
    }

    /// The whole document, as it is imported.
    pub fn text(&self) -> String {
        let n_bytes = self.resources.iter().map(|text| text.len() + 1).sum::<usize>();
        let mut text = String::with_capacity(n_bytes + 512);
        text.push_str(r#"{"version":3,"deployment":"#);
        self.write_inner(&mut text);
        text.push('}');
        text
    }

    /// The `deployment` member alone.
    pub fn write_inner(&self, text: &mut String) {
        text.push_str(HEAD);
        text.push_str(&self.resources.join(","));
        text.push_str(TAIL);
    }

    /// Offset of resource `index` in `text()`.
    pub fn offset(&self, index: usize) -> usize {
        let before: usize = self.resources[..index].iter().map(|text| text.len() + 1).sum();
        r#"{"version":3,"deployment":"#.len() + HEAD.len() + before
    }

    /// The stack's name.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    fn urn(&self, kind: &str, name: &str) -> String {
        format!("urn:pulumi:{}::{PROJECT}::{kind}::{name}", self.stack)
    }

    fn stack_urn(&self) -> String {
        self.urn("pulumi:pulumi:Stack", &format!("{PROJECT}-{}", self.stack))
    }

    fn stack_resource(&self) -> String {
        let urn = self.stack_urn();
        format!(
            r#"{{"urn":"{urn}","custom":false,"type":"pulumi:pulumi:Stack","created":"2026-08-21T10:00:00Z","modified":"2026-08-21T10:00:00Z"}}"#
        )
    }

    fn provider_resource(&self) -> String {
        let urn = self.urn("pulumi:providers:aws", "default_7_1_0");
        format!(
            r#"{{"urn":"{urn}","custom":true,"id":"{PROVIDER_ID}","type":"pulumi:providers:aws","inputs":{{"region":"eu-central-1","version":"7.1.0"}},"outputs":{{"region":"eu-central-1","version":"7.1.0"}},"parent":"{}","created":"2026-08-21T10:00:00Z","modified":"2026-08-21T10:00:00Z"}}"#,
            self.stack_urn()
        )
    }

    /// The URN of bucket `i`.
    pub fn bucket_urn(&self, i: usize) -> String {
        self.urn("aws:s3/bucket:Bucket", &format!("bucket-{i:06}"))
    }

    /// Bucket `i` as it is after `revision` changes.
    pub fn bucket(&self, i: usize, revision: usize) -> String {
        let mut rng = Rng(((i as u64) << 32) ^ revision as u64);
        let (urn, parent, id) = (self.bucket_urn(i), self.stack_urn(), rng.next() >> 36);
        let provider = self.urn("pulumi:providers:aws", "default_7_1_0");
        let mut inputs = format!(
            r#"{{"__defaults":["forceDestroy"],"bucket":"bucket-{i:06}-{id:07x}","forceDestroy":false,"tags":{{"owner":"platform","revision":"{revision}"}}"#
        );
        let mut text = format!(
            r#"{{"urn":"{urn}","custom":true,"id":"bucket-{i:06}-{id:07x}","type":"aws:s3/bucket:Bucket","inputs":"#
        );
        let tail_bytes = parent.len() + provider.len() + 270;
        let n_policy = self.resource_bytes.saturating_sub(text.len() + inputs.len() + tail_bytes);
        fill_policy(&mut inputs, &mut rng, n_policy);
        inputs.push('}');
        write!(
            text,
            r#"{inputs},"outputs":{{"arn":"arn:aws:s3:::bucket-{i:06}-{id:07x}","hostedZoneId":"Z21DNDUVLTQW6Q","versionId":"{:016x}"}},"parent":"{parent}""#,
            rng.next()
        )
        .expect("write to a string");
        if i > 2 && i % GROUP == GROUP - 1 {
            write!(text, r#","dependencies":["{}"]"#, self.bucket_urn(i - 1)).expect("write to a string");
        }
        write!(text, r#","provider":"{provider}::{PROVIDER_ID}","propertyDependencies":{{}},"created":"2026-08-21T10:00:00Z","modified":"2026-08-21T10:00:00Z"}}"#)
            .expect("write to a string");
        text
    }

    /// Where bucket `i` stands.
    pub fn place_of(&self, i: usize) -> usize {
        let start = format!("{{\"urn\":\"{}\"", self.bucket_urn(i));
        self.resources.iter().position(|text| text.starts_with(&start)).expect("a bucket of this stack")
    }

    /// Positions of all resources in the order in which a parallel engine might take them: groups of four
    /// change places, the first group stays.
    pub fn shuffled(&self, rng: &mut Rng) -> Vec<usize> {
        let mut groups: Vec<Vec<usize>> = vec![Vec::new(); self.resources.len().div_ceil(GROUP)];
        for place in 0..self.resources.len() {
            groups[self.number(place) / GROUP].push(place);
        }
        for i in (2..groups.len()).rev() {
            groups.swap(i, 1 + rng.below(i));
        }
        for group in &mut groups {
            group.sort_by_key(|&place| self.number(place));
        }
        groups.concat()
    }

    /// The number in the name of the resource at `place`; the stack and the provider are 0 and 1.
    pub fn number(&self, place: usize) -> usize {
        if place < 2 {
            return place;
        }
        let text = &self.resources[place];
        let at = text.find("::bucket-").expect("a bucket") + "::bucket-".len();
        text[at..at + 6].parse().expect("a number")
    }
}

const HEAD: &str = concat!(
    r#"{"manifest":{"time":"2026-08-21T10:00:00Z","magic":"","version":""},"#,
    r#""secrets_providers":{"type":"passphrase","state":{"salt":"v1:bench"}},"resources":["#
);
const TAIL: &str = r#"],"metadata":{}}"#;
const PROVIDER_ID: &str = "0f6f6f2e-6c1f-4a53-9b5e-2f8d8f6f3a10";

/// A policy document as escaped text, `n_bytes` long or a little less.
fn fill_policy(inputs: &mut String, rng: &mut Rng, n_bytes: usize) {
    inputs.push_str(r#","policy":"{\"Statement\":["#);
    let end = inputs.len() + n_bytes.saturating_sub(40);
    while inputs.len() + 110 < end {
        write!(
            inputs,
            r#"{{\"Sid\":\"{:08x}\",\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\"],\"Resource\":\"arn:aws:s3:::logs/{}\"}},"#,
            rng.next() as u32,
            rng.below(1000)
        )
        .expect("write to a string");
    }
    inputs.push_str(r#"{}]}""#);
}
