//! iceoryx2: publish and subscribe in shared memory. Its ports belong to the process that makes them.

use std::{
    env,
    error::Error,
    fmt::Debug,
    fs,
    hint::spin_loop,
    path::{Path, PathBuf},
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use iceoryx2::{
    config::Config,
    node::NodeBuilder,
    prelude::{BackpressureStrategy, IceoryxSend, SignalHandlingMode, ZeroCopySend, ipc},
    service::builder::publish_subscribe::Builder,
};

type Try<T> = Result<T, Box<dyn Error>>;

/// Where the memory of all services lies.
const MEMORY: &str = "/dev/shm";

/// What this run makes has this prefix, wherever it lies.
fn prefix() -> &'static str {
    static PREFIX: OnceLock<String> = OnceLock::new();
    PREFIX.get_or_init(|| format!("multiproc-peers-{}-", process::id()))
}

/// Where files of this run lie that are no memory.
fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| env::temp_dir().join(format!("{}iceoryx2", prefix())))
}

/// A place of this run alone, so that what its processes leave behind can be told from what others still use.
fn config() -> Try<Config> {
    let mut config = Config::default();
    config.global.prefix = prefix().try_into()?;
    let root = root()
        .to_str()
        .ok_or("the directory for temporary files has no name in UTF-8")?;
    config.global.set_root_path(&root.try_into()?);
    Ok(config)
}

/// Clears away, when it is dropped, what this run left behind: processes that end without unwinding do leave something.
pub struct ClearAtEnd(());

/// To be kept until the end, by the process that starts all others.
pub fn clear_at_end() -> ClearAtEnd {
    // Forked children use the same.
    prefix();
    root();
    ClearAtEnd(())
}

impl Drop for ClearAtEnd {
    fn drop(&mut self) {
        // It may be that nothing was made.
        _ = fs::remove_dir_all(root());
        for entry in fs::read_dir(MEMORY).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix()) {
                _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// A name under which one process publishes and another subscribes, and how many messages may wait there.
pub struct Topic {
    name: String,
    capacity: usize,
}

impl Topic {
    /// One that nobody else has.
    pub fn new(capacity: usize) -> Topic {
        static TOPICS: AtomicU64 = AtomicU64::new(0);
        let number = TOPICS.fetch_add(1, Ordering::Relaxed);
        Topic {
            name: format!("multiproc-peers/{}/{number}", process::id()),
            capacity,
        }
    }

    /// The service of this name, which refuses what there is no room for.
    fn service<T>(&self) -> Try<Builder<T, (), ipc::Service>>
    where
        T: Debug + IceoryxSend + ZeroCopySend + ?Sized,
    {
        let node = NodeBuilder::new()
            .config(&config()?)
            .signal_handling_mode(SignalHandlingMode::Disabled)
            .create::<ipc::Service>()?;
        Ok(node
            .service_builder(&self.name.as_str().try_into()?)
            .publish_subscribe::<T>()
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(self.capacity))
    }

    /// Publishes words, each again and again until there is room for it. How iceoryx2 itself waits for that, by giving
    /// the processor up, depends on who else wants it.
    pub fn send_words(&self) -> impl FnMut(u64) {
        let publisher = (|| -> Try<_> {
            let service = self.service::<u64>()?.open_or_create()?;
            let publisher = service.publisher_builder();
            let strategy = BackpressureStrategy::DiscardData;
            Ok(publisher.backpressure_strategy(strategy).create()?)
        })();
        let publisher = publisher.unwrap();
        move |word| {
            while publisher.send_copy(word).unwrap() == 0 {
                spin_loop();
            }
        }
    }

    /// Takes words, and looks for each until it is there.
    pub fn receive_words(&self) -> impl FnMut() -> u64 {
        let subscriber = (|| -> Try<_> {
            let service = self.service::<u64>()?.open_or_create()?;
            Ok(service.subscriber_builder().create()?)
        })();
        let subscriber = subscriber.unwrap();
        move || {
            loop {
                match subscriber.receive().unwrap() {
                    Some(sample) => return *sample,
                    None => spin_loop(),
                }
            }
        }
    }

    /// Publishes slices of `len` words, likewise.
    pub fn send_slices(&self, len: usize) -> impl FnMut(&[u64]) {
        let publisher = (|| -> Try<_> {
            let service = self.service::<[u64]>()?.open_or_create()?;
            let publisher = service.publisher_builder().initial_max_slice_len(len);
            let strategy = BackpressureStrategy::DiscardData;
            Ok(publisher.backpressure_strategy(strategy).create()?)
        })();
        let publisher = publisher.unwrap();
        move |slice| {
            loop {
                let sample = publisher.loan_slice_uninit(slice.len()).unwrap();
                if sample.write_from_slice(slice).send().unwrap() != 0 {
                    return;
                }
                spin_loop();
            }
        }
    }

    /// Shows slices to `look` where they lie, and looks for each until it is there.
    pub fn receive_slices(&self, mut look: impl FnMut(&[u64])) -> impl FnMut() {
        let subscriber = (|| -> Try<_> {
            let service = self.service::<[u64]>()?.open_or_create()?;
            Ok(service.subscriber_builder().create()?)
        })();
        let subscriber = subscriber.unwrap();
        move || {
            loop {
                match subscriber.receive().unwrap() {
                    Some(sample) => return look(&sample),
                    None => spin_loop(),
                }
            }
        }
    }
}
