using System.Text;
using Kernels.Devices.OpenCl;
using Kernels.Tests.Support;
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

    /// <summary>Compiles with warnings as errors.</summary>
    /// <exception cref="KernelCompilationException">The compiler had something to say.</exception>
    public void Compile(string text)
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
            // Not clBuildProgram, which also links the functions of OpenCL in: three quarters of the time, and not a word more. Past
            // Silk.NET as the library's own calls that take a callback are.
            var compile = (delegate* unmanaged<nint, uint, nint*, byte*, uint, nint*, byte**, nint, void*, int>)
                Cl.Context.GetProcAddress("clCompileProgram");
            int status;
            fixed (byte* options = Encoding.ASCII.GetBytes($"-cl-std=CL1.2{OpenClOptions.OfWarnings}\0"))
                status = compile(program, 1, &device, options, 0, null, null, 0, null);
            string log = Log(program);
            if (status != (int)ErrorCodes.Success || log.Contains("warning", StringComparison.OrdinalIgnoreCase))
                throw new KernelCompilationException("The text does not compile cleanly.", log, NameOf(status), "clCompileProgram");
        }
        finally
        {
            Cl.ReleaseProgram(program);
        }
    }

    public void Dispose() => _device.Dispose();

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
