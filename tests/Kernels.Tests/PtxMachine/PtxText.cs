using System.Text;
using Kernels.Interop;
using Kernels.Tests.FakeDriver;
using Xunit;
using static Kernels.Interop.CudaDriver;

namespace Kernels.Tests.PtxMachine;

/// <summary>
/// A kernel written in PTX, run by the driver's own calls. Its one parameter is the address of some words of device memory.
/// </summary>
internal static unsafe class PtxText
{
    private const string Frame =
        """
        .version 7.8
        .target sm_90
        .address_size 64
        .file 1 "probe.cl"

        """;

    private const string Head =
        """
        .visible .entry probe(.param .u64 words) {
            .reg .pred %p<9>;
            .reg .b16 %h<9>;
            .reg .b32 %r<9>;
            .reg .f32 %f<9>;
            .reg .b64 %rd<10>;
            .reg .f64 %fd<9>;
            .shared .align 16 .b8 tile[256];
            .loc 1 7 0
            ld.param.u64 %rd0, [words];
            mov.u32 %r0, %tid.x;
            mov.u32 %r1, %ctaid.x;
            mul.wide.u32 %rd1, %r0, 4;
            add.s64 %rd1, %rd0, %rd1;
            mul.lo.u32 %r2, %r0, 4;
            mov.u32 %r3, tile;
            add.u32 %r3, %r3, %r2;

        """;

    /// <summary>The answer of a call, and what the memory holds then; the stand-in is as new before and after.</summary>
    /// <param name="body">The kernel's instructions.</param>
    /// <param name="words">What the memory holds before; null where nothing is written to it.</param>
    /// <param name="threads">Threads of a group.</param>
    /// <param name="groups">Groups.</param>
    /// <param name="length">Words, where nothing is written.</param>
    /// <param name="beforeReset">Looks at the stand-in before it forgets.</param>
    /// <param name="functions">Functions of the module.</param>
    /// <param name="isCooperative">All groups are there at once.</param>
    public static (CudaStatus Status, uint[] Words, string[] Violations) Run(
        string body, uint[]? words = null, uint threads = 32, uint groups = 1, int length = 64, Action? beforeReset = null,
        string functions = "", bool isCooperative = false)
    {
        FakeCuda.Reset();
        uint[] result = words is null ? new uint[length] : [.. words];
        byte[] image = Encoding.ASCII.GetBytes($"{Frame}{functions}\n{Head}{body}\nret;\n}}\n\0");
        CudaStatus status = Launch(image, words, result, threads, groups, isCooperative);
        string[] violations = [.. FakeCuda.Violations];
        beforeReset?.Invoke();
        FakeCuda.Reset();
        return (status, result, violations);
    }

    private static CudaStatus Launch(byte[] image, uint[]? words, uint[] result, uint threads, uint groups, bool isCooperative)
    {
        Succeed(cuInit(0));
        Succeed(cuDeviceGet(out int device, 0));
        Succeed(cuDevicePrimaryCtxRetain(out nint context, device));
        Succeed(cuCtxPushCurrent_v2(context));
        nuint bytes = (nuint)result.Length * sizeof(uint);
        Succeed(cuMemAlloc_v2(out nuint memory, bytes));
        if (words is not null)
        {
            fixed (uint* from = words) Succeed(cuMemcpyHtoDAsync_v2(memory, from, bytes, 0));
        }

        nint module;
        fixed (byte* text = image)
        {
            CudaStatus loaded = cuModuleLoadDataEx(out module, text, 0, null, null);
            if (loaded != CudaStatus.Success) return loaded;
        }

        nint function;
        fixed (byte* name = "probe\0"u8) Succeed(cuModuleGetFunction(out function, module, name));
        void* argument = &memory;
        CudaStatus status = isCooperative
            ? cuLaunchCooperativeKernel(function, groups, 1, 1, threads, 1, 1, 0, 0, &argument)
            : cuLaunchKernel(function, groups, 1, 1, threads, 1, 1, 0, 0, &argument, null);
        if (status == CudaStatus.Success) status = cuCtxSynchronize();
        if (status != CudaStatus.Success) return status;
        fixed (uint* to = result) return cuMemcpyDtoHAsync_v2(to, memory, bytes, 0);
    }

    private static void Succeed(CudaStatus status) => Assert.Equal(CudaStatus.Success, status);
}
