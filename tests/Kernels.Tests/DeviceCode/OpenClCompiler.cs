using System.Text;
using Kernels.Devices.OpenCl;
using Kernels.Interop;
using Xunit;
using static Kernels.Devices.OpenCl.OpenClError;
using static Kernels.Interop.OpenCl;

namespace Kernels.Tests.DeviceCode;

/// <summary>The compiler of the first OpenCL device, called past the program cache: what was compiled yesterday is compiled again.</summary>
internal sealed unsafe class OpenClCompiler : IDisposable
{
    private readonly OpenClDevice _device = OpenClDevice.Open(0);

    public static OpenClCompiler OpenOrSkip()
    {
        DeviceDescription device = OpenClDevice.Describe()[0];
        if (!device.Available) Assert.Skip($"{device.Id}: {device.Reason}");
        return new OpenClCompiler();
    }

    /// <summary>Compiles with warnings as errors and counts the parameters of each entry point.</summary>
    /// <exception cref="KernelCompilationException">The compiler had something to say.</exception>
    public IReadOnlyDictionary<string, uint> ArgumentCounts(string text, IReadOnlyList<string> entryPoints)
    {
        nint program;
        byte[] source = Encoding.UTF8.GetBytes(text);
        fixed (byte* first = source)
        {
            nuint length = (nuint)source.Length;
            program = clCreateProgramWithSource(_device.Context.Value, 1, &first, &length, out OpenClStatus created);
            ThrowIfFailed(created);
        }

        try
        {
            nint device = _device.Context.Device;
            OpenClStatus status;
            fixed (byte* options = "-cl-std=CL1.2 -Werror\0"u8) status = clBuildProgram(program, 1, &device, options, 0, null);
            string log = Log(program);
            if (status != OpenClStatus.Success || log.Contains("warning", StringComparison.OrdinalIgnoreCase))
                throw new KernelCompilationException("The text does not compile cleanly.", log, status.ToString(), "clBuildProgram");
            return entryPoints.ToDictionary(name => name, name => ArgumentCount(program, name));
        }
        finally
        {
            clReleaseProgram(program);
        }
    }

    public void Dispose() => _device.Dispose();

    private static uint ArgumentCount(nint program, string entryPoint)
    {
        fixed (byte* name = Encoding.ASCII.GetBytes(entryPoint + '\0'))
        {
            nint kernel = clCreateKernel(program, name, out OpenClStatus status);
            ThrowIfFailed(status, entryPoint);
            uint count;
            ThrowIfFailed(clGetKernelInfo(kernel, OpenClKernelInfo.NumArgs, sizeof(uint), &count, null));
            clReleaseKernel(kernel);
            return count;
        }
    }

    private string Log(nint program)
    {
        nuint size;
        ThrowIfFailed(clGetProgramBuildInfo(program, _device.Context.Device, OpenClProgramBuildInfo.Log, 0, null, &size));
        byte[] log = new byte[size];
        fixed (byte* first = log) ThrowIfFailed(clGetProgramBuildInfo(program, _device.Context.Device, OpenClProgramBuildInfo.Log, size, first, null));
        return Encoding.UTF8.GetString(log).TrimEnd('\0');
    }
}
