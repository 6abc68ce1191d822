using System.Text;
using Kernels.Interop;
using Xunit;
using static Kernels.Interop.CudaDriver;

namespace Kernels.Tests.FakeDriver;

/// <summary>
/// The driver's own calls, and a kernel that waits until a word has a value and then writes another: what a stream does is held up for as
/// long as a test wants.
/// </summary>
internal sealed unsafe class GatedKernels : IDisposable
{
    /// <summary>Bytes of each block of memory.</summary>
    public const int Bytes = 256;

    private const string Text =
        """
        .version 7.8
        .target sm_90
        .address_size 64
        .file 1 "gate.cl"
        .visible .entry pass(.param .u64 gate, .param .u32 expected, .param .u64 word, .param .u32 value) {
            .reg .pred %p<2>;
            .reg .b32 %r<3>;
            .reg .b64 %rd<2>;
            .loc 1 1 0
            ld.param.u64 %rd0, [gate];
            ld.param.u32 %r1, [expected];
            ld.param.u64 %rd1, [word];
            ld.param.u32 %r2, [value];
        $again:
            ld.volatile.global.u32 %r0, [%rd0];
            setp.eq.u32 %p0, %r0, %r1;
            @%p0 bra $open;
            nanosleep.u32 1000;
            bra $again;
        $open:
            st.volatile.global.u32 [%rd1], %r2;
            ret;
        }

        """;

    private readonly nint _function;
    private readonly nint _host;

    public GatedKernels()
    {
        Succeed(cuInit(0));
        Succeed(cuDeviceGet(out int device, 0));
        Succeed(cuDevicePrimaryCtxRetain(out nint context, device));
        Succeed(cuCtxPushCurrent_v2(context));
        nint module;
        fixed (byte* text = Encoding.ASCII.GetBytes(Text + '\0')) Succeed(cuModuleLoadDataEx(out module, text, 0, null, null));
        fixed (byte* name = "pass\0"u8) Succeed(cuModuleGetFunction(out _function, module, name));
        Succeed(cuMemHostAlloc(out _host, Bytes, default));
        Host.Clear();
        (Module, Words) = (module, Allocate());
    }

    public nint Module { get; }

    /// <summary>Page-locked memory. The first word is the gate, which is shut.</summary>
    public Span<uint> Host => new((void*)_host, Bytes / sizeof(uint));

    /// <summary>Device memory, all zero.</summary>
    public nuint Words { get; }

    public nuint HostAddress(int word) => (nuint)_host + (nuint)(word * sizeof(uint));

    public void Open() => Volatile.Write(ref Host[0], 1);

    public void Shut() => Volatile.Write(ref Host[0], 0);

    public static nint CreateStream(CudaStreamFlags flags = CudaStreamFlags.NonBlocking)
    {
        Succeed(cuStreamCreate(out nint stream, flags));
        return stream;
    }

    public static nint Record(nint stream)
    {
        Succeed(cuEventCreate(out nint made, default));
        Succeed(cuEventRecord(made, stream));
        return made;
    }

    public static nuint Allocate()
    {
        Succeed(cuMemAlloc_v2(out nuint memory, Bytes));
        Succeed(cuMemsetD32Async(memory, 0, Bytes / sizeof(uint), 0));
        Succeed(cuStreamSynchronize(0));
        return memory;
    }

    /// <summary>When the gate is open, <paramref name="value"/> is written to <paramref name="word"/>.</summary>
    public void Write(nint stream, nuint word, uint value) => Pass(stream, HostAddress(0), 1, word, value);

    /// <summary>When the word at <paramref name="gate"/> is as expected, the value is written.</summary>
    public void Pass(nint stream, nuint gate, uint expected, nuint word, uint value)
    {
        void** arguments = stackalloc void*[] { &gate, &expected, &word, &value };
        Succeed(cuLaunchKernel(_function, 1, 1, 1, 1, 1, 1, 0, stream, arguments, null));
    }

    /// <summary>Queues a copy of a word of device memory to page-locked memory.</summary>
    public void Fetch(nint stream, nuint source, int word) =>
        Succeed(cuMemcpyDtoHAsync_v2((void*)HostAddress(word), source, sizeof(uint), stream));

    public static uint Read(nuint address)
    {
        uint value;
        Succeed(cuMemcpyDtoHAsync_v2(&value, address, sizeof(uint), 0));
        return value;
    }

    public static void Succeed(CudaStatus status) => Assert.Equal(CudaStatus.Success, status);

    /// <summary>Gives back what this has made; the caller has destroyed the rest.</summary>
    public void Dispose()
    {
        Succeed(cuMemFree_v2(Words));
        Succeed(cuMemFreeHost(_host));
        Succeed(cuModuleUnload(Module));
        Succeed(cuCtxPopCurrent_v2(out _));
        Succeed(cuDevicePrimaryCtxRelease_v2(0));
    }
}
