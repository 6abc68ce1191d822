namespace Kernels.Interop;

/// <summary>OpenCL error codes, CL_X_Y spelled XY, with those outside the standard that a loader or driver may return.</summary>
internal enum OpenClStatus
{
    Success = 0,

    /// <summary>No device of the asked type: an ordinary answer of clGetDeviceIDs.</summary>
    DeviceNotFound = -1,
    DeviceNotAvailable = -2,
    CompilerNotAvailable = -3,

    /// <summary>Out of device memory, often reported late, by the first command that touches the buffer.</summary>
    MemObjectAllocationFailure = -4,

    /// <summary>On NVIDIA also what an illegal access in an earlier kernel looks like.</summary>
    OutOfResources = -5,
    OutOfHostMemory = -6,
    ProfilingInfoNotAvailable = -7,
    MemCopyOverlap = -8,
    ImageFormatMismatch = -9,
    ImageFormatNotSupported = -10,

    /// <summary>The build log says why.</summary>
    BuildProgramFailure = -11,
    MapFailure = -12,
    MisalignedSubBufferOffset = -13,
    ExecStatusErrorForEventsInWaitList = -14,
    CompileProgramFailure = -15,
    LinkerNotAvailable = -16,
    LinkProgramFailure = -17,
    DevicePartitionFailed = -18,

    /// <summary>The program was built without -cl-kernel-arg-info.</summary>
    KernelArgInfoNotAvailable = -19,
    InvalidValue = -30,
    InvalidDeviceType = -31,
    InvalidPlatform = -32,
    InvalidDevice = -33,
    InvalidContext = -34,
    InvalidQueueProperties = -35,
    InvalidCommandQueue = -36,
    InvalidHostPtr = -37,
    InvalidMemObject = -38,
    InvalidImageFormatDescriptor = -39,
    InvalidImageSize = -40,
    InvalidSampler = -41,
    InvalidBinary = -42,
    InvalidBuildOptions = -43,
    InvalidProgram = -44,
    InvalidProgramExecutable = -45,
    InvalidKernelName = -46,
    InvalidKernelDefinition = -47,
    InvalidKernel = -48,
    InvalidArgIndex = -49,
    InvalidArgValue = -50,
    InvalidArgSize = -51,
    InvalidKernelArgs = -52,
    InvalidWorkDimension = -53,
    InvalidWorkGroupSize = -54,
    InvalidWorkItemSize = -55,
    InvalidGlobalOffset = -56,
    InvalidEventWaitList = -57,
    InvalidEvent = -58,
    InvalidOperation = -59,
    InvalidGlObject = -60,
    InvalidBufferSize = -61,
    InvalidMipLevel = -62,
    InvalidGlobalWorkSize = -63,
    InvalidProperty = -64,
    InvalidImageDescriptor = -65,
    InvalidCompilerOptions = -66,
    InvalidLinkerOptions = -67,
    InvalidDevicePartitionCount = -68,
    InvalidPipeSize = -69,
    InvalidDeviceQueue = -70,
    InvalidSpecId = -71,
    MaxSizeRestrictionExceeded = -72,

    /// <summary>The ICD loader is there but knows no platform: an ordinary answer of clGetPlatformIDs.</summary>
    PlatformNotFoundKhr = -1001,
    ContextTerminatedKhr = -1121,

    /// <summary>NVIDIA, in no header: an illegal read or write in an earlier kernel.</summary>
    IllegalReadOrWriteNvidia = -9999,
}
