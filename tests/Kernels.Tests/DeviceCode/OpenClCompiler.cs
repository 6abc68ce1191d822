using System.Text;
using Kernels.Devices.OpenCl;
using Silk.NET.OpenCL;
using Xunit;
using static Kernels.Devices.OpenCl.OpenClError;
using static Kernels.Interop.OpenClLibrary;

namespace Kernels.Tests.DeviceCode;

/// <summary>The first OpenCL device's compiler, called past the program cache: what was compiled yesterday is compiled again.</summary>
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
            program = Cl.CreateProgramWithSource(_device.Context.Value, 1, &first, &length, out int created);
            ThrowIfFailed(created);
        }

        try
        {
            nint device = _device.Context.Device;
            int status;
            fixed (byte* options = "-cl-std=CL1.2 -Werror\0"u8) status = BuildProgram(program, 1, &device, options);
            string log = Log(program);
            if (status != (int)ErrorCodes.Success || log.Contains("warning", StringComparison.OrdinalIgnoreCase))
                throw new KernelCompilationException("The text does not compile cleanly.", log, NameOf(status), "clBuildProgram");
            return entryPoints.ToDictionary(name => name, name => ArgumentCount(program, name));
        }
        finally
        {
            Cl.ReleaseProgram(program);
        }
    }

    public void Dispose() => _device.Dispose();

    private static uint ArgumentCount(nint program, string entryPoint)
    {
        fixed (byte* name = Encoding.ASCII.GetBytes(entryPoint + '\0'))
        {
            nint kernel = Cl.CreateKernel(program, name, out int status);
            ThrowIfFailed(status, entryPoint);
            uint count;
            ThrowIfFailed(Cl.GetKernelInfo(kernel, KernelInfo.NumArgs, sizeof(uint), &count, null));
            Cl.ReleaseKernel(kernel);
            return count;
        }
    }

    private string Log(nint program)
    {
        nint device = _device.Context.Device;
        nuint size;
        ThrowIfFailed(Cl.GetProgramBuildInfo(program, device, ProgramBuildInfo.BuildLog, 0, null, &size));
        byte[] log = new byte[size];
        fixed (byte* first = log) ThrowIfFailed(Cl.GetProgramBuildInfo(program, device, ProgramBuildInfo.BuildLog, size, first, null));
        return Encoding.UTF8.GetString(log).TrimEnd('\0');
    }
}
