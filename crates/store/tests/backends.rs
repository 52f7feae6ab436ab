//! Both backends keep the promises of the store.

use store::{Fjall, Memory, Options};

mod memory {
    use super::Memory;

    store::store_conformance!(|| (|store| store, Memory::new()));
}

mod faulty {
    use store::Faulty;

    use super::Memory;

    store::store_conformance!(|| (|store| store, Faulty::new(Memory::new())));
}

#[cfg(test)]
mod fjall {
    use super::{Fjall, Options};

    fn open() -> (impl FnMut(Fjall) -> Fjall, Fjall) {
        let folder = tempfile::tempdir().unwrap();
        let store = Fjall::open(folder.path(), Options::default()).unwrap();
        let reopen = move |store| {
            drop(store);
            Fjall::open(folder.path(), Options::default()).unwrap()
        };
        (reopen, store)
    }

    store::store_conformance!(open);
}
