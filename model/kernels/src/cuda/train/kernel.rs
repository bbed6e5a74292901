//! Kernels of our own among Burn's: CUDA C++ that its compiler takes as it is, on its stream, in order with all that it does.
use cubecl::cuda::{CudaCompiler, CudaComputeKernel, CudaRuntime};
use cubecl::prelude::*;
use cubecl::server::{Binding, KernelArguments, MetadataBindingInfo};
use cubecl::{CompilationError, CubeTask};
use cubecl_cpp::ComputeKernel;
use cubecl_cpp::shared::{Body, CompilationOptions, Elem, Flags, Item, SharedMemory};
use std::collections::HashMap;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// A file of CUDA C++, with what it stands on.
pub(super) type Source = &'static [&'static str];

/// What a source is told when it is compiled.
pub(super) type Defines = Vec<(&'static str, usize)>;

/// A kernel, compiled when it is first started.
#[derive(Clone)]
pub(super) struct Kernel(Arc<Inner>);

struct Inner {
    entry: &'static str,
    source: String,
    threads: CubeDim,
    shared: usize,
    id: KernelId,
}

/// Kernels that were asked for, so that a source is put together once.
static KERNELS: LazyLock<Mutex<HashMap<Key, Kernel>>> = LazyLock::new(Mutex::default);

/// A name, the place of the source where it stands, and what that is told.
type Key = (&'static str, usize, Defines);

impl Kernel {
    /// The kernel of that name in a source. It has one number of threads and bytes of shared memory for the same defines.
    pub(super) fn of(
        entry: &'static str,
        source: Source,
        defines: Defines,
        threads: u32,
        shared: usize,
    ) -> Self {
        let mut kernels = KERNELS.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (entry, source.as_ptr().addr(), defines);
        if let Some(kernel) = kernels.get(&key) {
            return kernel.clone();
        }
        let kernel = Self::new(entry, source, &key.2, threads, shared);
        kernels.insert(key, kernel.clone());
        kernel
    }

    fn new(entry: &'static str, files: Source, defines: &Defines, threads: u32, shared: usize) -> Self {
        let mut source = String::new();
        for (name, value) in defines {
            let _ = writeln!(source, "#define {name} {value}");
        }
        files.iter().for_each(|file| source.push_str(file));
        // Fixed keys: the same number in every process, by which what was compiled is found again.
        let mut hasher = DefaultHasher::new();
        source.hash(&mut hasher);
        let threads = CubeDim::new_1d(threads);
        let id = KernelId::new::<Self>().info((entry, hasher.finish(), shared)).cube_dim(threads);
        Self(Arc::new(Inner { entry, source, threads, shared, id }))
    }

    /// Starts it behind all that was asked for before, and waits for nothing. It is given the buffers in their order, then
    /// the words.
    pub(super) fn start(
        &self,
        client: &ComputeClient<CudaRuntime>,
        [x, y, z]: [usize; 3],
        buffers: Vec<Binding>,
        words: Words,
    ) {
        let count = words.0.len();
        // With nothing behind the fixed words none are copied to memory first: all travel with the start itself.
        let arguments = KernelArguments {
            buffers,
            info: MetadataBindingInfo::new(words.0, count),
            tensor_maps: Vec::new(),
        };
        client.launch(Box::new(self.clone()), CubeCount::Static(x as u32, y as u32, z as u32), arguments);
    }
}

impl KernelMetadata for Kernel {
    fn name(&self) -> &'static str {
        self.0.entry
    }

    fn id(&self) -> KernelId {
        self.0.id.clone()
    }

    fn address_type(&self) -> StorageType {
        u32::as_type_native_unchecked().storage_type()
    }
}

impl CubeTask<CudaCompiler> for Kernel {
    fn compile(
        &self,
        _: &mut CudaCompiler,
        _: &CompilationOptions,
        _: ExecutionMode,
        _: StorageType,
    ) -> Result<CompiledKernel<CudaCompiler>, CompilationError> {
        let Inner { entry, source, threads, shared, .. } = &*self.0;
        let memory = || SharedMemory::new_array(0, Item::scalar(Elem::U8, true), *shared, 128);
        // Nothing is read of this but how much shared memory there is.
        let repr: CudaComputeKernel = ComputeKernel {
            tensor_maps: Vec::new(),
            buffers: Vec::new(),
            scalars: Vec::new(),
            info: Default::default(),
            meta_static_len: 0,
            body: Body {
                instructions: Vec::new(),
                shared_memories: (*shared > 0).then(memory).into_iter().collect(),
                pipelines: Vec::new(),
                barriers: Vec::new(),
                const_arrays: Vec::new(),
                local_arrays: Vec::new(),
                info_by_ptr: false,
                has_dynamic_meta: false,
                address_type: Item::scalar(Elem::U32, true),
            },
            cube_dim: *threads,
            cluster_dim: None,
            extensions: Vec::new(),
            flags: Flags::default(),
            items: Default::default(),
            kernel_name: (*entry).into(),
        };
        Ok(CompiledKernel {
            entrypoint_name: (*entry).into(),
            debug_name: Some(entry),
            source: source.clone(),
            repr: Some(repr),
            cube_dim: *threads,
            debug_info: None,
        })
    }
}

/// A struct of a kernel's, laid out as C does it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Words(Vec<u64>, usize);

impl Words {
    pub(super) fn int(mut self, number: usize) -> Self {
        self.half(number as u32);
        self
    }

    pub(super) fn float(mut self, number: f64) -> Self {
        self.half((number as f32).to_bits());
        self
    }

    pub(super) fn long(mut self, number: usize) -> Self {
        self.1 = self.1.next_multiple_of(2) + 2;
        self.0.push(number as u64);
        self
    }

    fn half(&mut self, bits: u32) {
        match (self.1.is_multiple_of(2), self.0.last_mut()) {
            (false, Some(last)) => *last |= u64::from(bits) << 32,
            _ => self.0.push(u64::from(bits)),
        }
        self.1 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lie_as_in_c() {
        let words = Words::default().int(1).float(1.0).int(3).long(5).int(7);
        assert_eq!(words.0, [1 | 0x3f80_0000 << 32, 3, 5, 7]);
        assert_eq!(Words::default().long(1).int(2).int(3).0, [1, 2 | 3 << 32]);
    }

    #[test]
    fn a_kernel_is_known_by_all_that_it_is_made_of() {
        let source: Source = &["a", "b"];
        let kernel =
            |entry, width, shared| Kernel::of(entry, source, vec![("WIDTH", width)], 32, shared).id();
        assert_eq!(kernel("one", 1, 0), kernel("one", 1, 0));
        assert_ne!(kernel("one", 1, 0), kernel("one", 2, 0));
        assert_ne!(kernel("two", 1, 0), kernel("one", 1, 0));
        let made = Kernel::of("one", source, vec![("WIDTH", 1)], 32, 0);
        assert_eq!(made.0.source, "#define WIDTH 1\nab");
    }
}
