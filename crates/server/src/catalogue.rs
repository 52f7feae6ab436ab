//! The catalogue as the program holds it: readers take an immutable one, changes go through the store one
//! after the other.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex as SyncMutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use measure::{
    KeyId, Timestamp,
    catalogue::{APPLE_SEARCH_ADS, Catalogue, Change, Entry, ManagementKey, Network},
    policy::{Policy, Windows},
    postback::Template,
    time::MINUTE_MS,
};
use store::{Store, StoreError};
use tokio::sync::Mutex;

use crate::auth;

/// The catalogue and the way to change it. Cheap to clone.
#[derive(Clone)]
pub struct CatalogueService(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    current: RwLock<Arc<Catalogue>>,
    /// Held while a change is made, so that versions and numbers are given out once.
    changing: Arc<Mutex<()>>,
    /// Whether a change failed in a way that leaves open if it was written.
    unsure: AtomicBool,
    /// When each key was last used, as far as it was written down: to the minute.
    used: SyncMutex<BTreeMap<KeyId, Timestamp>>,
}

/// What the catalogue was found to be at start.
pub struct Opened {
    /// The catalogue.
    pub service: CatalogueService,
    /// Whether nobody had set up anything yet: the data directory was empty.
    pub fresh: bool,
}

impl CatalogueService {
    /// Reads the catalogue from the store. Blocks; for start-up only.
    pub fn open(store: Arc<dyn Store>) -> Result<Opened, StoreError> {
        let catalogue = read(store.as_ref())?;
        let fresh = catalogue.version == 0;
        let used = store.key_uses()?.into_iter().collect();
        let inner = Inner {
            used: SyncMutex::new(used),
            store,
            current: RwLock::new(Arc::new(catalogue)),
            changing: Arc::default(),
            unsure: AtomicBool::new(false),
        };
        Ok(Opened { service: Self(Arc::new(inner)), fresh })
    }

    /// The catalogue as of the last change.
    #[must_use]
    pub fn current(&self) -> Arc<Catalogue> {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that a key was used. Written down at most once a minute, and not waited for.
    pub fn note_use(&self, key: KeyId, at: Timestamp) {
        let mut used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.get(&key).is_some_and(|before| at.since(*before).abs() < MINUTE_MS) {
            return;
        }
        used.insert(key, at);
        drop(used);
        let service = self.clone();
        tokio::spawn(async move {
            if let Err(error) = service.blocking(move |inner| inner.store.note_use(key, at)).await {
                tracing::warn!(%error, "the use of a key could not be noted");
            }
        });
    }

    /// When a key was last used, to the minute.
    #[must_use]
    pub fn last_use(&self, key: KeyId) -> Option<Timestamp> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied()
    }

    /// Makes a change: `make` sees the catalogue, alone, and says what becomes of it; what it hands out
    /// beside the entries is the answer. The change is durable and in force for every request begun after
    /// this returns. Once written it is completed even if the caller goes away.
    pub async fn change<T, E>(
        &self,
        at: Timestamp,
        by: Option<KeyId>,
        make: impl FnOnce(&Catalogue) -> Result<(Vec<Entry>, T), E>,
    ) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        let turn = self.0.changing.clone().lock_owned().await;
        if self.0.unsure.load(Ordering::Acquire) {
            self.clone().blocking(|inner| read(inner.store.as_ref())).await.map(|catalogue| {
                self.swap(catalogue);
                self.0.unsure.store(false, Ordering::Release);
            })?;
        }
        let before = self.current();
        let (entries, answer) = make(&before)?;
        let changes: Vec<Change> = (before.version + 1..)
            .zip(entries)
            .map(|(version, entry)| Change { version, at, by, entry })
            .collect();
        if changes.is_empty() {
            return Ok(answer);
        }
        let service = self.clone();
        let task = tokio::spawn(async move {
            let outcome = service.write(before, changes).await;
            drop(turn);
            outcome
        });
        task.await.unwrap_or_else(|_| Err(StoreError::Unavailable("a change was cut short".to_owned())))?;
        Ok(answer)
    }

    /// Records changes and puts them in force.
    async fn write(&self, before: Arc<Catalogue>, changes: Vec<Change>) -> Result<(), StoreError> {
        let recorded = self
            .clone()
            .blocking(move |inner| inner.store.record(&changes).map(|()| changes))
            .await
            .inspect_err(|_| self.0.unsure.store(true, Ordering::Release))?;
        let mut catalogue = Catalogue::clone(&before);
        recorded.into_iter().for_each(|change| catalogue.apply(change));
        self.swap(catalogue);
        Ok(())
    }

    async fn blocking<T: Send + 'static>(
        self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        tokio::task::spawn_blocking(move || work(&self.0))
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("a storage task was cut short".to_owned())))
    }

    fn swap(&self, catalogue: Catalogue) {
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalogue);
    }

    /// Brings the templates in line with those that the program was started with. One that is no longer there
    /// is not offered any more; triggers that were made from it go on as they are.
    pub async fn prepare_templates(&self, at: Timestamp, templates: Vec<Template>) -> Result<(), StoreError> {
        self.change(at, None, |catalogue| {
            let gone = catalogue
                .templates()
                .into_iter()
                .filter(|known| !known.retired && !templates.iter().any(|template| template.id == known.id));
            let mut changed: Vec<Template> =
                gone.map(|known| Template { retired: true, ..Template::clone(known) }).collect();
            changed.extend(templates.into_iter().filter(|template| {
                catalogue.template(template.id).is_none_or(|known| known.as_ref() != template)
            }));
            let entries = if changed.is_empty() { Vec::new() } else { vec![Entry::Templates(changed)] };
            Ok::<_, StoreError>((entries, ()))
        })
        .await
    }

    /// Brings the catalogue in line with the configuration and with what is always there: the server's
    /// policy, the network of Apple Search Ads and, on a fresh data directory, the first management key.
    pub async fn prepare(
        &self,
        at: Timestamp,
        policy: Policy,
        first_key: Option<&str>,
    ) -> Result<(), StoreError> {
        self.change(at, None, |catalogue| {
            let mut entries = Vec::new();
            if catalogue.version == 0 || catalogue.policy != policy {
                entries.push(Entry::Policy(policy));
            }
            if catalogue.network(APPLE_SEARCH_ADS).is_none() {
                entries.push(Entry::Network(Network {
                    id: APPLE_SEARCH_ADS,
                    name: "Apple Search Ads".to_owned(),
                    windows: Windows::default(),
                    created: at,
                    deleted: false,
                    extra: "{}".to_owned(),
                }));
            }
            if let Some(key) = first_key {
                entries.push(Entry::Key(ManagementKey {
                    id: KeyId(1),
                    name: "first key".to_owned(),
                    hash: auth::hash(key),
                    apps: Vec::new(),
                    write: true,
                    created: at,
                    revoked: false,
                    member: None,
                }));
            }
            Ok::<_, StoreError>((entries, ()))
        })
        .await
    }
}

/// The fold of every recorded change.
fn read(store: &dyn Store) -> Result<Catalogue, StoreError> {
    let mut catalogue = Catalogue::default();
    store.changes()?.into_iter().for_each(|change| catalogue.apply(change));
    Ok(catalogue)
}
