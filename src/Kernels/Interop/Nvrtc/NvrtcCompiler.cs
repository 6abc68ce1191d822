using System.Runtime.InteropServices;

namespace Kernels.Interop;

/// <summary>
/// NVRTC, the CUDA C++ compiler as a library, under its own names. It needs no GPU and no driver. Texts are zero-terminated UTF-8,
/// and the sizes it reports include the terminating zero (a CUBIN has none).
/// </summary>
internal static unsafe partial class Nvrtc
{
    [LibraryImport(NativeLibraries.Nvrtc)] internal static partial NvrtcStatus nvrtcVersion(out int major, out int minor);

    // Real architectures as numbers: 80 is sm_80. Since CUDA 11.2.
    [LibraryImport(NativeLibraries.Nvrtc)] internal static partial NvrtcStatus nvrtcGetNumSupportedArchs(out int count);
    [LibraryImport(NativeLibraries.Nvrtc)] internal static partial NvrtcStatus nvrtcGetSupportedArchs(int* architectures);

    /// <summary>
    /// <paramref name="name"/> is what error messages call the source; header texts and the names they are included by run in parallel.
    /// </summary>
    [LibraryImport(NativeLibraries.Nvrtc)]
    internal static partial NvrtcStatus nvrtcCreateProgram(
        out nint program, byte* source, byte* name, int headerCount, byte** headers, byte** includeNames);

    [LibraryImport(NativeLibraries.Nvrtc)]
    internal static partial NvrtcStatus nvrtcCompileProgram(nint program, int optionCount, byte** options);

    [LibraryImport(NativeLibraries.Nvrtc)] internal static partial NvrtcStatus nvrtcGetProgramLogSize(nint program, out nuint bytes);
    [LibraryImport(NativeLibraries.Nvrtc)] internal static partial NvrtcStatus nvrtcGetProgramLog(nint program, byte* log);
    [LibraryImport(NativeLibraries.Nvrtc)] internal static partial NvrtcStatus nvrtcGetPTXSize(nint program, out nuint bytes);
    [LibraryImport(NativeLibraries.Nvrtc)] internal static partial NvrtcStatus nvrtcGetPTX(nint program, byte* ptx);

    /// <summary>
    /// Zero when the program was compiled for a virtual architecture (<c>compute_80</c>) instead of a real one (<c>sm_80</c>).
    /// </summary>
    [LibraryImport(NativeLibraries.Nvrtc)] internal static partial NvrtcStatus nvrtcGetCUBINSize(nint program, out nuint bytes);
    [LibraryImport(NativeLibraries.Nvrtc)] internal static partial NvrtcStatus nvrtcGetCUBIN(nint program, byte* cubin);

    /// <summary>Sets <paramref name="program"/> to 0.</summary>
    [LibraryImport(NativeLibraries.Nvrtc)] internal static partial NvrtcStatus nvrtcDestroyProgram(ref nint program);

    /// <summary>A static zero-terminated string owned by the library.</summary>
    [LibraryImport(NativeLibraries.Nvrtc)] internal static partial nint nvrtcGetErrorString(NvrtcStatus result);
}
