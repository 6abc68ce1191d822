namespace Kernels.Interop;

/// <summary>CUdevice_attribute: the part used here.</summary>
internal enum CudaDeviceAttribute
{
    MaxThreadsPerBlock = 1,
    MaxBlockDimX = 2,
    MaxGridDimX = 5,
    MaxGridDimY = 6,
    MaxGridDimZ = 7,

    /// <summary>Bytes a block may use without opting in (usually 48 KiB).</summary>
    MaxSharedMemoryPerBlock = 8,
    WarpSize = 10,
    MaxRegistersPerBlock = 12,

    /// <summary>Kilohertz.</summary>
    ClockRate = 13,
    MultiprocessorCount = 16,
    Integrated = 18,
    ComputeMode = 20,
    EccEnabled = 32,
    PciBusId = 33,
    PciDeviceId = 34,

    /// <summary>Kilohertz.</summary>
    MemoryClockRate = 36,

    /// <summary>Bits.</summary>
    GlobalMemoryBusWidth = 37,

    /// <summary>Bytes.</summary>
    L2CacheSize = 38,
    MaxThreadsPerMultiprocessor = 39,
    UnifiedAddressing = 41,
    PciDomainId = 50,
    ComputeCapabilityMajor = 75,
    ComputeCapabilityMinor = 76,
    MaxSharedMemoryPerMultiprocessor = 81,
    MaxRegistersPerMultiprocessor = 82,
    CooperativeLaunch = 95,

    /// <summary>Bytes a block may use once MaxDynamicSharedSizeBytes of the function has been raised.</summary>
    MaxSharedMemoryPerBlockOptin = 97,
    MaxBlocksPerMultiprocessor = 106,
    ReservedSharedMemoryPerBlock = 111,
    ClusterLaunch = 120,
}

/// <summary>CUfunction_attribute.</summary>
internal enum CudaFunctionAttribute
{
    MaxThreadsPerBlock = 0,
    SharedSizeBytes = 1,
    ConstSizeBytes = 2,
    LocalSizeBytes = 3,
    NumRegs = 4,
    PtxVersion = 5,
    BinaryVersion = 6,
    CacheModeCa = 7,

    /// <summary>Settable.</summary>
    MaxDynamicSharedSizeBytes = 8,

    /// <summary>Settable: percent of the L1/shared memory wanted as shared memory.</summary>
    PreferredSharedMemoryCarveout = 9,
    ClusterSizeMustBeSet = 10,
    RequiredClusterWidth = 11,
    RequiredClusterHeight = 12,
    RequiredClusterDepth = 13,
    NonPortableClusterSizeAllowed = 14,
    ClusterSchedulingPolicyPreference = 15,
}

/// <summary>CUjit_option: the part used here.</summary>
internal enum CudaJitOption
{
    MaxRegisters = 0,
    InfoLogBuffer = 3,
    InfoLogBufferSizeBytes = 4,
    ErrorLogBuffer = 5,
    ErrorLogBufferSizeBytes = 6,
    OptimizationLevel = 7,
    GenerateDebugInfo = 11,
    LogVerbose = 12,
    GenerateLineInfo = 13,
    CacheMode = 14,
}

/// <summary>CUstream_flags.</summary>
[Flags]
internal enum CudaStreamFlags : uint
{
    Default = 0,

    /// <summary>No implicit ordering with the legacy default stream.</summary>
    NonBlocking = 1,
}

/// <summary>CUstreamCaptureMode: whose unsafe calls (allocation, for one) a capture forbids.</summary>
internal enum CudaCaptureMode
{
    Global = 0,

    /// <summary>Those of the capturing thread.</summary>
    ThreadLocal = 1,
    Relaxed = 2,
}

/// <summary>CUstreamCaptureStatus.</summary>
internal enum CudaCaptureStatus
{
    None = 0,
    Active = 1,
    Invalidated = 2,
}

/// <summary>CUevent_flags.</summary>
[Flags]
internal enum CudaEventFlags : uint
{
    Default = 0,
    BlockingSync = 1,
    DisableTiming = 2,
}

/// <summary>CU_MEMHOSTALLOC flags.</summary>
[Flags]
internal enum CudaHostAllocFlags : uint
{
    None = 0,

    /// <summary>Pinned for every context, not only the current one.</summary>
    Portable = 1,
    DeviceMap = 2,
    WriteCombined = 4,
}
