namespace Kernels.Interop;

/// <summary>
/// CUresult, CUDA_ERROR_X_Y spelled XY. A status marked sticky means that the context is lost: every later call in it returns the
/// same error, and only a new process gets a working one.
/// </summary>
internal enum CudaStatus
{
    Success = 0,
    InvalidValue = 1,
    OutOfMemory = 2,
    NotInitialized = 3,
    Deinitialized = 4,
    ProfilerDisabled = 5,
    ProfilerNotInitialized = 6,
    ProfilerAlreadyStarted = 7,
    ProfilerAlreadyStopped = 8,

    /// <summary>The library is the link-time stub of the toolkit, not a driver.</summary>
    StubLibrary = 34,
    DeviceUnavailable = 46,
    NoDevice = 100,
    InvalidDevice = 101,
    DeviceNotLicensed = 102,
    InvalidImage = 200,

    /// <summary>Most often: no context is current on this thread.</summary>
    InvalidContext = 201,
    ContextAlreadyCurrent = 202,
    MapFailed = 205,
    UnmapFailed = 206,
    ArrayIsMapped = 207,
    AlreadyMapped = 208,

    /// <summary>The image holds no code for this compute capability.</summary>
    NoBinaryForGpu = 209,
    AlreadyAcquired = 210,
    NotMapped = 211,
    NotMappedAsArray = 212,
    NotMappedAsPointer = 213,

    /// <summary>Sticky.</summary>
    EccUncorrectable = 214,
    UnsupportedLimit = 215,
    ContextAlreadyInUse = 216,
    PeerAccessUnsupported = 217,
    InvalidPtx = 218,
    InvalidGraphicsContext = 219,

    /// <summary>Sticky.</summary>
    NvlinkUncorrectable = 220,
    JitCompilerNotFound = 221,

    /// <summary>The PTX comes from a toolkit newer than the driver.</summary>
    UnsupportedPtxVersion = 222,
    JitCompilationDisabled = 223,
    UnsupportedExecAffinity = 224,
    UnsupportedDevsideSync = 225,

    /// <summary>Sticky.</summary>
    Contained = 226,
    InvalidSource = 300,
    FileNotFound = 301,
    SharedObjectSymbolNotFound = 302,
    SharedObjectInitFailed = 303,
    OperatingSystem = 304,
    InvalidHandle = 400,
    IllegalState = 401,
    LossyQuery = 402,
    NotFound = 500,

    /// <summary>Not a failure: the queried stream or event still has work ahead.</summary>
    NotReady = 600,

    /// <summary>Sticky.</summary>
    IllegalAddress = 700,

    /// <summary>Usually more registers or threads per block than the device has; not sticky.</summary>
    LaunchOutOfResources = 701,

    /// <summary>Sticky.</summary>
    LaunchTimeout = 702,
    LaunchIncompatibleTexturing = 703,
    PeerAccessAlreadyEnabled = 704,
    PeerAccessNotEnabled = 705,
    PrimaryContextActive = 708,

    /// <summary>Sticky: the primary context was reset or is not initialised any more.</summary>
    ContextIsDestroyed = 709,

    /// <summary>Sticky.</summary>
    Assert = 710,
    TooManyPeers = 711,
    HostMemoryAlreadyRegistered = 712,
    HostMemoryNotRegistered = 713,

    /// <summary>Sticky.</summary>
    HardwareStackError = 714,

    /// <summary>Sticky.</summary>
    IllegalInstruction = 715,

    /// <summary>Sticky.</summary>
    MisalignedAddress = 716,

    /// <summary>Sticky.</summary>
    InvalidAddressSpace = 717,

    /// <summary>Sticky.</summary>
    InvalidPc = 718,

    /// <summary>Sticky.</summary>
    LaunchFailed = 719,
    CooperativeLaunchTooLarge = 720,

    /// <summary>Sticky.</summary>
    TensorMemoryLeak = 721,
    NotPermitted = 800,
    NotSupported = 801,
    SystemNotReady = 802,
    SystemDriverMismatch = 803,
    CompatNotSupportedOnDevice = 804,
    MpsConnectionFailed = 805,
    MpsRpcFailure = 806,
    MpsServerNotReady = 807,
    MpsMaxClientsReached = 808,
    MpsMaxConnectionsReached = 809,

    /// <summary>Sticky.</summary>
    MpsClientTerminated = 810,
    CdpNotSupported = 811,
    CdpVersionMismatch = 812,
    StreamCaptureUnsupported = 900,
    StreamCaptureInvalidated = 901,
    StreamCaptureMerge = 902,
    StreamCaptureUnmatched = 903,
    StreamCaptureUnjoined = 904,
    StreamCaptureIsolation = 905,
    StreamCaptureImplicit = 906,
    CapturedEvent = 907,
    StreamCaptureWrongThread = 908,
    Timeout = 909,
    GraphExecUpdateFailure = 910,

    /// <summary>Sticky when the error was asynchronous.</summary>
    ExternalDevice = 911,
    InvalidClusterSize = 912,
    FunctionNotLoaded = 913,
    InvalidResourceType = 914,
    InvalidResourceConfiguration = 915,
    KeyRotation = 916,
    StreamDetached = 917,
    GraphRecaptureFailure = 918,
    Unknown = 999,
}
