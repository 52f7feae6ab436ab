//! Engagements as a what-if keeps them: one compact entry each, found by the hash of a match key, forgotten
//! when they are too old to count.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

use measure::{
    Timestamp, TouchId,
    engagement::{IpKey, LinkIdentifier, Touch},
    identifier::{Digest, IdKind, Identifier},
    place::Place,
    platform::Traits,
    policy::TOUCHES_PER_KEY_MAX,
};
use uuid::Uuid;

/// Entries forgotten before the lists are looked through for keys that lead nowhere any more.
const SWEEP_ENTRIES: usize = 100_000;

/// One engagement. What many have in common lies in a shape.
struct Kept {
    id: TouchId,
    time: Timestamp,
    received: Timestamp,
    content_key: u64,
    /// 0 is none.
    site: u64,
    shape: u32,
    make: u32,
    ip: Option<IpKey>,
    place: Place,
    identifiers: Identifiers,
}

/// Most links carry no identifier, or one that is a UUID as everybody writes it.
enum Identifiers {
    None,
    Uuid(u32, Uuid),
    Many(Box<[Held]>),
}

/// Any other identifier of a link.
struct Held {
    kind: u32,
    hashed: bool,
    value: Box<str>,
}

/// What is left of an engagement without what is its own.
fn shape(touch: &Touch) -> Touch {
    Touch {
        id: TouchId(Uuid::nil()),
        kind: touch.kind,
        time: Timestamp(0),
        received: Timestamp(0),
        tracker: touch.tracker,
        network: touch.network,
        campaign: touch.campaign,
        segment: touch.segment,
        identifiers: Vec::new(),
        ip: None,
        traits: Traits::default(),
        content_key: 0,
        completed_view: touch.completed_view,
        site: None,
        findings: touch.findings.clone(),
        claim: touch.claim,
        place: Place::default(),
        ip_of_caller: touch.ip_of_caller,
    }
}

/// Values that many have in common, each once and by its number.
struct Numbered<T> {
    values: Vec<Arc<T>>,
    numbers: HashMap<Arc<T>, u32>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: HashMap::new() }
    }
}

impl<T: Eq + Hash + Clone> Numbered<T> {
    fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let value = Arc::new(value);
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }

    /// Every number that was given has its value.
    fn get(&self, number: u32) -> T {
        T::clone(&self.values[number as usize])
    }
}

/// A text as a UUID, when that gives the very text again.
fn uuid(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok().filter(|_| text.len() == 36)?;
    (uuid.hyphenated().to_string() == text).then_some(uuid)
}

/// The engagements under one key, by number, in the order of time, content and identifier.
enum List {
    One(u32),
    #[expect(clippy::box_collection, reason = "most lists are of one: the others may take a step more")]
    Many(Box<Vec<u32>>),
}

/// The order of DECISIONS 5, oldest first.
type Turn = (Timestamp, u64, TouchId);

/// Where an engagement stands in the order; nothing for one that is forgotten, which so comes first.
fn place(kept: Option<&Kept>) -> Option<Turn> {
    kept.map(|kept| (kept.time, kept.content_key, kept.id))
}

/// All engagements that can still count.
#[derive(Default)]
pub(super) struct Touches {
    kept: VecDeque<Kept>,
    /// The number of the first one kept.
    first: u32,
    lists: HashMap<u64, List>,
    shapes: Numbered<Touch>,
    makes: Numbered<Traits>,
    kinds: Vec<IdKind>,
    forgotten: usize,
}

impl Touches {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Keeps an engagement and gives it a number, under which [`Self::file`] files it.
    pub(super) fn keep(&mut self, touch: &Touch) -> u32 {
        let identifiers = self.identifiers(&touch.identifiers);
        let kept = Kept {
            id: touch.id,
            time: touch.time,
            received: touch.received,
            content_key: touch.content_key,
            site: touch.site.unwrap_or_default(),
            shape: self.shapes.number(shape(touch)),
            make: self.makes.number(touch.traits.clone()),
            ip: touch.ip,
            place: touch.place,
            identifiers,
        };
        let number = self.first.wrapping_add(u32::try_from(self.kept.len()).unwrap_or(u32::MAX));
        self.kept.push_back(kept);
        number
    }

    /// Makes the hash of a match key lead to an engagement.
    pub(super) fn file(&mut self, key: u64, number: u32) {
        let (kept, first) = (&self.kept, self.first);
        let place = |number: u32| place(kept.get(number.wrapping_sub(first) as usize));
        match self.lists.entry(key) {
            Entry::Vacant(free) => {
                free.insert(List::One(number));
            }
            Entry::Occupied(mut list) => match list.get_mut() {
                List::One(other) => {
                    let other = *other;
                    let later = place(other) < place(number);
                    list.insert(List::Many(Box::new(if later {
                        vec![other, number]
                    } else {
                        vec![number, other]
                    })));
                }
                List::Many(many) => {
                    if many.len() == many.capacity() {
                        // Before a list grows, what is forgotten goes from its beginning.
                        let gone = many.partition_point(|other| place(*other).is_none());
                        many.drain(..gone);
                    }
                    let place_of_it = place(number);
                    let at = match many.last() {
                        Some(last) if place(*last) < place_of_it => many.len(),
                        _ => many.partition_point(|other| place(*other) < place_of_it),
                    };
                    many.insert(at, number);
                }
            },
        }
    }

    /// The newest engagements under a key from `oldest` to `until`, newest first, and whether there are more.
    pub(super) fn newest(&self, key: u64, oldest: Timestamp, until: Timestamp) -> (Vec<Touch>, bool) {
        let one;
        let list = match self.lists.get(&key) {
            None => return (Vec::new(), false),
            Some(List::One(number)) => {
                one = [*number];
                one.as_slice()
            }
            Some(List::Many(many)) => many.as_slice(),
        };
        let time = |number: &u32| self.get(*number).map_or(Timestamp(i64::MIN), |kept| kept.time);
        let end = list.partition_point(|number| time(number) <= until);
        let counting = list.get(..end).unwrap_or_default();
        let start = counting.partition_point(|number| time(number) < oldest);
        let counting = counting.get(start..).unwrap_or_default();
        let newest = counting.iter().rev().take(TOUCHES_PER_KEY_MAX);
        let touches = newest.filter_map(|number| self.get(*number)).map(|kept| self.touch(kept)).collect();
        (touches, counting.len() > TOUCHES_PER_KEY_MAX)
    }

    /// Forgets what was received before `oldest`: it happened before it, too. Says whether this was the time to
    /// clean up.
    pub(super) fn forget(&mut self, oldest: Timestamp) -> bool {
        while self.kept.front().is_some_and(|kept| kept.received < oldest) {
            self.kept.pop_front();
            self.first = self.first.wrapping_add(1);
            self.forgotten += 1;
        }
        let sweeps = self.forgotten > SWEEP_ENTRIES.max(self.kept.len() / 2);
        if sweeps {
            self.forgotten = 0;
            let (first, len) = (self.first, self.kept.len());
            let lives = |number: &u32| (number.wrapping_sub(first) as usize) < len;
            self.lists.retain(|_, list| match list {
                List::One(number) => lives(number),
                List::Many(many) => {
                    many.retain(lives);
                    !many.is_empty()
                }
            });
        }
        sweeps
    }

    fn get(&self, number: u32) -> Option<&Kept> {
        self.kept.get(number.wrapping_sub(self.first) as usize)
    }

    fn touch(&self, kept: &Kept) -> Touch {
        let mut touch = self.shapes.get(kept.shape);
        touch.traits = self.makes.get(kept.make);
        touch.site = (kept.site != 0).then_some(kept.site);
        touch.id = kept.id;
        touch.time = kept.time;
        touch.received = kept.received;
        touch.content_key = kept.content_key;
        touch.ip = kept.ip;
        touch.place = kept.place;
        touch.identifiers = match &kept.identifiers {
            Identifiers::None => Vec::new(),
            Identifiers::Uuid(kind, uuid) => {
                let value = uuid.hyphenated().to_string();
                let kind = self.kinds.get(*kind as usize).cloned();
                kind.map(|kind| LinkIdentifier::Plain(Identifier { kind, value })).into_iter().collect()
            }
            Identifiers::Many(many) => many.iter().filter_map(|held| self.identifier(held)).collect(),
        };
        touch
    }

    fn identifiers(&mut self, identifiers: &[LinkIdentifier]) -> Identifiers {
        match identifiers {
            [] => Identifiers::None,
            [LinkIdentifier::Plain(plain)] => match uuid(&plain.value) {
                Some(uuid) => Identifiers::Uuid(self.kind(&plain.kind), uuid),
                None => Identifiers::Many(Box::new([self.held(&identifiers[0])])),
            },
            many => Identifiers::Many(many.iter().map(|identifier| self.held(identifier)).collect()),
        }
    }

    fn held(&mut self, identifier: &LinkIdentifier) -> Held {
        match identifier {
            LinkIdentifier::Plain(plain) => {
                Held { kind: self.kind(&plain.kind), hashed: false, value: plain.value.as_str().into() }
            }
            LinkIdentifier::Hashed(kind, digest) => {
                Held { kind: self.kind(kind), hashed: true, value: digest.as_str().into() }
            }
        }
    }

    fn kind(&mut self, kind: &IdKind) -> u32 {
        let known = self.kinds.iter().position(|known| known == kind);
        let number = known.unwrap_or_else(|| {
            self.kinds.push(kind.clone());
            self.kinds.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    fn identifier(&self, held: &Held) -> Option<LinkIdentifier> {
        let kind = self.kinds.get(held.kind as usize)?.clone();
        let value = held.value.to_string();
        Some(if held.hashed {
            LinkIdentifier::Hashed(kind, Digest::parse(&value)?)
        } else {
            LinkIdentifier::Plain(Identifier { kind, value })
        })
    }
}
