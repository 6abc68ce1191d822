using System.Runtime.InteropServices;
using Silk.NET.Core.Contexts;
using Silk.NET.OpenCL;

namespace Kernels.Interop;

/// <summary>
/// OpenCL through Silk.NET, in the library that <see cref="NativeLibraries"/> finds. Handles (platform, device, context, queue, memory
/// object, program, kernel, event) are <c>nint</c>; a status is the <c>int</c> of an <see cref="ErrorCodes"/>. The overloads with pointers
/// call straight through and allocate nothing.
/// </summary>
internal static unsafe class OpenClLibrary
{
    /// <summary>
    /// The functions. Each is looked up at its first call; <see cref="NativeLibraries.TryLoad"/> says before whether there is a library.
    /// </summary>
    internal static CL Cl { get; } = new(new FoundLibrary());

    // Silk.NET notes every callback, a null one too, in a list that threads share without a lock. Two threads that build at once free an
    // entry twice, and the process dies or hangs. So the calls that take a callback go past it.

    /// <summary>clCreateContext without a callback; <paramref name="properties"/> is a zero-terminated list of pairs, or null.</summary>
    internal static nint CreateContext(nint* properties, uint deviceCount, nint* devices, int* status) =>
        ((delegate* unmanaged<nint*, uint, nint*, nint, void*, int*, nint>)Cl.Context.GetProcAddress("clCreateContext"))(
            properties, deviceCount, devices, 0, null, status);

    /// <summary>
    /// clBuildProgram without a callback, so that it returns when the program is built; <paramref name="options"/> end with a zero.
    /// </summary>
    internal static int BuildProgram(nint program, uint deviceCount, nint* devices, byte* options) =>
        ((delegate* unmanaged<nint, uint, nint*, byte*, nint, void*, int>)Cl.Context.GetProcAddress("clBuildProgram"))(
            program, deviceCount, devices, options, 0, null);

    /// <summary>The library as Silk.NET asks for it. It stays loaded as long as the process.</summary>
    private sealed class FoundLibrary : INativeContext
    {
        public nint GetProcAddress(string proc, int? slot = null) => TryGetProcAddress(proc, out nint address)
            ? address
            : throw new EntryPointNotFoundException(
                $"'{NativeLibraries.PathOf(NativeLibraries.OpenCl)}' is no OpenCL library: it has no function {proc}");

        public bool TryGetProcAddress(string proc, out nint addr, int? slot = null) =>
            NativeLibrary.TryGetExport(NativeLibraries.Load(NativeLibraries.OpenCl), proc, out addr);

        public void Dispose()
        {
            // Nothing of its own.
        }
    }
}
