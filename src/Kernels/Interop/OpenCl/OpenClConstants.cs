namespace Kernels.Interop;

/// <summary>Single values that belong to no enumeration.</summary>
internal static class OpenClConstants
{
    internal const uint False = 0;
    internal const uint True = 1;

    /// <summary>CL_CONTEXT_PLATFORM: key of a context property whose value is the platform handle.</summary>
    internal const nint ContextPlatform = 0x1084;
}

/// <summary>cl_platform_info; all texts.</summary>
internal enum OpenClPlatformInfo : uint
{
    Profile = 0x0900,
    Version = 0x0901,
    Name = 0x0902,
    Vendor = 0x0903,
    Extensions = 0x0904,
}

/// <summary>cl_device_type.</summary>
[Flags]
internal enum OpenClDeviceType : ulong
{
    Default = 1 << 0,
    Cpu = 1 << 1,
    Gpu = 1 << 2,
    Accelerator = 1 << 3,
    Custom = 1 << 4,
    All = 0xFFFFFFFF,
}

/// <summary>cl_device_info: the part used here, with the type of each value.</summary>
internal enum OpenClDeviceInfo : uint
{
    /// <summary>OpenClDeviceType.</summary>
    Type = 0x1000,

    /// <summary>uint.</summary>
    VendorId = 0x1001,

    /// <summary>uint.</summary>
    MaxComputeUnits = 0x1002,

    /// <summary>uint.</summary>
    MaxWorkItemDimensions = 0x1003,

    /// <summary>nuint.</summary>
    MaxWorkGroupSize = 0x1004,

    /// <summary>nuint[MaxWorkItemDimensions].</summary>
    MaxWorkItemSizes = 0x1005,

    /// <summary>uint.</summary>
    PreferredVectorWidthFloat = 0x100A,

    /// <summary>uint, megahertz.</summary>
    MaxClockFrequency = 0x100C,

    /// <summary>uint.</summary>
    AddressBits = 0x100D,

    /// <summary>ulong, bytes.</summary>
    MaxMemAllocSize = 0x1010,

    /// <summary>nuint, bytes.</summary>
    MaxParameterSize = 0x1017,

    /// <summary>uint, bits.</summary>
    MemBaseAddrAlign = 0x1019,

    /// <summary>OpenClFloatConfig.</summary>
    SingleFpConfig = 0x101B,

    /// <summary>uint, bytes.</summary>
    GlobalMemCachelineSize = 0x101D,

    /// <summary>ulong, bytes.</summary>
    GlobalMemCacheSize = 0x101E,

    /// <summary>ulong, bytes.</summary>
    GlobalMemSize = 0x101F,

    /// <summary>uint: 1 is dedicated local memory, 2 is global memory.</summary>
    LocalMemType = 0x1022,

    /// <summary>ulong, bytes.</summary>
    LocalMemSize = 0x1023,

    /// <summary>nuint, nanoseconds.</summary>
    ProfilingTimerResolution = 0x1025,

    /// <summary>uint (cl_bool).</summary>
    EndianLittle = 0x1026,

    /// <summary>uint (cl_bool).</summary>
    Available = 0x1027,

    /// <summary>uint (cl_bool).</summary>
    CompilerAvailable = 0x1028,

    /// <summary>OpenClQueueProperties.</summary>
    QueueProperties = 0x102A,

    /// <summary>Text.</summary>
    Name = 0x102B,

    /// <summary>Text.</summary>
    Vendor = 0x102C,

    /// <summary>Text.</summary>
    DriverVersion = 0x102D,

    /// <summary>Text.</summary>
    Profile = 0x102E,

    /// <summary>Text, "OpenCL MAJOR.MINOR vendor words".</summary>
    Version = 0x102F,

    /// <summary>Text, names separated by spaces.</summary>
    Extensions = 0x1030,

    /// <summary>nint.</summary>
    Platform = 0x1031,

    /// <summary>OpenClFloatConfig: zero where double is missing.</summary>
    DoubleFpConfig = 0x1032,

    /// <summary>uint (cl_bool).</summary>
    HostUnifiedMemory = 0x1035,

    /// <summary>uint.</summary>
    NativeVectorWidthFloat = 0x103A,

    /// <summary>Text.</summary>
    OpenClCVersion = 0x103D,
}

/// <summary>cl_device_fp_config.</summary>
[Flags]
internal enum OpenClFloatConfig : ulong
{
    None = 0,
    Denorm = 1 << 0,
    InfNan = 1 << 1,
    RoundToNearest = 1 << 2,
    RoundToZero = 1 << 3,
    RoundToInf = 1 << 4,
    Fma = 1 << 5,
    SoftFloat = 1 << 6,
    CorrectlyRoundedDivideSqrt = 1 << 7,
}

/// <summary>cl_command_queue_properties.</summary>
[Flags]
internal enum OpenClQueueProperties : ulong
{
    None = 0,
    OutOfOrderExecModeEnable = 1 << 0,
    ProfilingEnable = 1 << 1,
}

/// <summary>cl_mem_flags.</summary>
[Flags]
internal enum OpenClMemFlags : ulong
{
    None = 0,
    ReadWrite = 1 << 0,
    WriteOnly = 1 << 1,
    ReadOnly = 1 << 2,
    UseHostPtr = 1 << 3,
    AllocHostPtr = 1 << 4,
    CopyHostPtr = 1 << 5,
    HostWriteOnly = 1 << 7,
    HostReadOnly = 1 << 8,
    HostNoAccess = 1 << 9,
}

/// <summary>cl_mem_info: the part used here.</summary>
internal enum OpenClMemInfo : uint
{
    /// <summary>uint: 0x10F0 is a buffer.</summary>
    Type = 0x1100,

    /// <summary>OpenClMemFlags.</summary>
    Flags = 0x1101,

    /// <summary>nuint, bytes.</summary>
    Size = 0x1102,

    /// <summary>uint.</summary>
    ReferenceCount = 0x1105,

    /// <summary>nint.</summary>
    Context = 0x1106,

    /// <summary>nuint: the position of a sub-buffer in its parent.</summary>
    Offset = 0x1108,
}

/// <summary>cl_map_flags.</summary>
[Flags]
internal enum OpenClMapFlags : ulong
{
    None = 0,
    Read = 1 << 0,
    Write = 1 << 1,
    WriteInvalidateRegion = 1 << 2,
}

/// <summary>cl_program_info: the part used here.</summary>
internal enum OpenClProgramInfo : uint
{
    /// <summary>uint.</summary>
    NumDevices = 0x1162,

    /// <summary>nint[NumDevices].</summary>
    Devices = 0x1163,

    /// <summary>nuint[NumDevices].</summary>
    BinarySizes = 0x1165,

    /// <summary>byte*[NumDevices]: the caller provides the memory they point to.</summary>
    Binaries = 0x1166,

    /// <summary>nuint.</summary>
    NumKernels = 0x1167,

    /// <summary>Text, names separated by semicolons.</summary>
    KernelNames = 0x1168,
}

/// <summary>cl_program_build_info.</summary>
internal enum OpenClProgramBuildInfo : uint
{
    /// <summary>OpenClBuildStatus.</summary>
    Status = 0x1181,

    /// <summary>Text.</summary>
    Options = 0x1182,

    /// <summary>Text.</summary>
    Log = 0x1183,
}

/// <summary>cl_build_status.</summary>
internal enum OpenClBuildStatus
{
    Success = 0,
    None = -1,
    Error = -2,
    InProgress = -3,
}

/// <summary>cl_kernel_info: the part used here.</summary>
internal enum OpenClKernelInfo : uint
{
    /// <summary>Text.</summary>
    FunctionName = 0x1190,

    /// <summary>uint.</summary>
    NumArgs = 0x1191,

    /// <summary>Text.</summary>
    Attributes = 0x1195,
}

/// <summary>cl_kernel_arg_info.</summary>
internal enum OpenClKernelArgInfo : uint
{
    /// <summary>OpenClArgAddressQualifier.</summary>
    AddressQualifier = 0x1196,

    /// <summary>uint.</summary>
    AccessQualifier = 0x1197,

    /// <summary>Text, without qualifiers: "float*".</summary>
    TypeName = 0x1198,

    /// <summary>OpenClArgTypeQualifier.</summary>
    TypeQualifier = 0x1199,

    /// <summary>Text.</summary>
    Name = 0x119A,
}

/// <summary>cl_kernel_arg_address_qualifier.</summary>
internal enum OpenClArgAddressQualifier : uint
{
    Global = 0x119B,
    Local = 0x119C,
    Constant = 0x119D,
    Private = 0x119E,
}

/// <summary>cl_kernel_arg_type_qualifier.</summary>
[Flags]
internal enum OpenClArgTypeQualifier : ulong
{
    None = 0,
    Const = 1 << 0,
    Restrict = 1 << 1,
    Volatile = 1 << 2,
}

/// <summary>cl_kernel_work_group_info.</summary>
internal enum OpenClKernelWorkGroupInfo : uint
{
    /// <summary>nuint: the largest group this kernel can run with on this device.</summary>
    WorkGroupSize = 0x11B0,

    /// <summary>nuint[3]: reqd_work_group_size, or zeros.</summary>
    CompileWorkGroupSize = 0x11B1,

    /// <summary>ulong, bytes.</summary>
    LocalMemSize = 0x11B2,

    /// <summary>nuint.</summary>
    PreferredWorkGroupSizeMultiple = 0x11B3,

    /// <summary>ulong, bytes.</summary>
    PrivateMemSize = 0x11B4,
}

/// <summary>cl_event_info: the part used here.</summary>
internal enum OpenClEventInfo : uint
{
    /// <summary>uint.</summary>
    ReferenceCount = 0x11D2,

    /// <summary>OpenClExecutionStatus, or a negative OpenClStatus when the command failed.</summary>
    CommandExecutionStatus = 0x11D3,
}

/// <summary>Execution status of a command.</summary>
internal enum OpenClExecutionStatus
{
    Complete = 0,
    Running = 1,
    Submitted = 2,
    Queued = 3,
}

/// <summary>cl_profiling_info.</summary>
internal enum OpenClProfilingInfo : uint
{
    CommandQueued = 0x1280,
    CommandSubmit = 0x1281,
    CommandStart = 0x1282,
    CommandEnd = 0x1283,
}
