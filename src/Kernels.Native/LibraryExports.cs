using System.Runtime.InteropServices;

namespace Kernels.Native;

/// <summary>Errors, versions, and the arithmetic of keys and probabilities.</summary>
public static unsafe class LibraryExports
{
    /// <summary>
    /// What was wrong with the last call of this thread that failed: op, argument, value and shape, in UTF-8. Valid until the thread's next
    /// failure, and empty before its first.
    /// </summary>
    [UnmanagedCallersOnly(EntryPoint = "kernels_last_error")]
    public static byte* LastError() => Failure.Message;

    /// <summary>The name of a status in capitals, without KERNELS_STATUS_; "UNKNOWN" for other numbers. A constant.</summary>
    /// <param name="status">Any number.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_status_name")]
    public static byte* StatusName(Status status)
    {
        ReadOnlySpan<byte> name = status switch
        {
            Status.Ok => "OK"u8,
            Status.InvalidArgument => "INVALID_ARGUMENT"u8,
            Status.InvalidHandle => "INVALID_HANDLE"u8,
            Status.InvalidState => "INVALID_STATE"u8,
            Status.NotSupported => "NOT_SUPPORTED"u8,
            Status.DeviceNotAvailable => "DEVICE_NOT_AVAILABLE"u8,
            Status.DeviceError => "DEVICE_ERROR"u8,
            Status.OutOfMemory => "OUT_OF_MEMORY"u8,
            Status.CompilationFailed => "COMPILATION_FAILED"u8,
            Status.BadData => "BAD_DATA"u8,
            Status.InternalError => "INTERNAL_ERROR"u8,
            Status.ThreadEnded => "THREAD_ENDED"u8,
            Status.LibraryNotLoaded => "LIBRARY_NOT_LOADED"u8,
            _ => "UNKNOWN"u8,
        };
        fixed (byte* constant = name) return constant; // the assembly's data, which ends with a zero and does not move
    }

    /// <summary>KERNELS_VERSION of the library.</summary>
    [UnmanagedCallersOnly(EntryPoint = "kernels_version")]
    public static int Version()
    {
        Version version = typeof(Device).Assembly.GetName().Version!;
        return (version.Major * 10000) + (version.Minor * 100) + version.Build;
    }

    /// <summary>What a drop probability becomes: an element is kept iff its 16 random bits are below the threshold.</summary>
    /// <param name="dropProbability">In [0, 1].</param>
    /// <param name="threshold">Gets the threshold, in [0, 65536].</param>
    /// <param name="realised">Gets the probability that is really dropped with: 1 - threshold / 65536.</param>
    /// <param name="scale">Gets the factor of inverted scaling: 65536 / threshold, or 0.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_keep_threshold")]
    public static Status KeepThresholdOf(double dropProbability, [Out] uint* threshold, [Out] double* realised, [Out] double* scale) =>
        Failure.Guard(() =>
        {
            KeepThreshold keeps = KeepThreshold.FromDropProbability(dropProbability);
            const string Op = "keep_threshold";
            Arguments.Result(threshold, Op, nameof(threshold));
            Arguments.Result(realised, Op, nameof(realised));
            Arguments.Result(scale, Op, nameof(scale));
            (*threshold, *realised, *scale) = (keeps.Value, keeps.DropProbability, keeps.Scale);
        });

    /// <summary>A key whose bits have nothing to do with those of the key it comes from, nor of other indices.</summary>
    /// <param name="key">A key of the host.</param>
    /// <param name="index">Which one.</param>
    /// <param name="derived">Gets the key.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_key_derive")]
    public static Status KeyDerive(CKey* key, ulong index, [Out] CKey* derived) => Failure.Guard(() =>
    {
        const string Op = "key_derive";
        RandomKey result = Arguments.HostKey(key, Op, nameof(key)).Derive(index);
        Arguments.Result(derived, Op, nameof(derived));
        *derived = new CKey { Seed = result.Seed, Offset = result.Offset };
    });
}
