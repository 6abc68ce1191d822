namespace Kernels.Native;

/// <summary>What a function returns. After anything but OK, kernels_last_error says what was wrong.</summary>
public enum Status
{
    /// <summary>Done, or queued.</summary>
    Ok,

    /// <summary>A value, a shape, a data type, a struct's size, or NULL where something is needed; nothing was launched.</summary>
    InvalidArgument,

    /// <summary>A handle that is NULL, was freed, is of another kind, or never was one; or memory that was freed.</summary>
    InvalidHandle,

    /// <summary>Not now: the stream is being captured, or is not, or nothing was saved yet.</summary>
    InvalidState,

    /// <summary>The device cannot do this.</summary>
    NotSupported,

    /// <summary>There is no such device, or its driver cannot be loaded.</summary>
    DeviceNotAvailable,

    /// <summary>The driver reports an error; after one that destroys the context every later call reports the first cause.</summary>
    DeviceError,

    /// <summary>Too little free memory; the device stays usable.</summary>
    OutOfMemory,

    /// <summary>A kernel does not compile; the message ends with the compiler's log.</summary>
    CompilationFailed,

    /// <summary>
    /// A kernel met data it cannot use, such as a label outside the classes: told by the next call that waits for the stream. Device and
    /// stream stay usable.
    /// </summary>
    BadData,

    /// <summary>A mistake in this library; please report the message.</summary>
    InternalError,

    /// <summary>The thread is ending: its own data is being destroyed, and the library takes no more of its calls. Linux only.</summary>
    ThreadEnded,

    /// <summary>The files of the library that lie beside it are missing, or of another version.</summary>
    LibraryNotLoaded,
}
