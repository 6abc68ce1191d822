using Kernels.Devices;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.SeededFaults;

/// <summary>
/// A check that cannot fail is no check. Each row plants one bug of a kind that really happened somewhere into a kernel's text, and the op's case must notice on OpenCL.
/// </summary>
public sealed class SeededFaultTests
{
    private static readonly double[] SpecialValues = [double.NaN, double.PositiveInfinity];

    public static TheoryData<string> Faults { get; } = [.. SeededFault.All.Select(fault => fault.ToString())];

    public static TheoryData<string> FaultyOps { get; } = [.. SeededFault.All.Select(fault => fault.Op).Distinct()];

    [Theory]
    [MemberData(nameof(Faults))]
    public void VerificationFindsTheFault(string name)
    {
        SeededFault fault = SeededFault.All.Single(fault => fault.ToString() == name);
        DeviceDescription? device = Device.List().FirstOrDefault(d => d.Kind == DeviceKind.OpenCl && d.Available);
        Assert.SkipWhen(device is null, "no OpenCL device");
        int replacements = 0;
        KernelSource.Rewrite = (file, text) =>
        {
            if (file != fault.File) return text;
            int found = text.Split(fault.Right).Length - 1;
            Assert.True(found > 0, $"'{fault.Right}' does not stand in {file} any more; bring the fault up to date.");
            replacements += found;
            return text.Replace(fault.Right, fault.Wrong, StringComparison.Ordinal);
        };
        try
        {
            Assert.True(IsFound(device!.Id, fault), $"{fault}: verification passed with the fault in place.");
        }
        finally
        {
            KernelSource.Rewrite = null;
        }

        Assert.True(replacements > 0, $"{fault}: no kernel with the fault was compiled.");
    }

    /// <summary>The same search without a fault must find nothing, or the test above would show nothing.</summary>
    [Theory]
    [MemberData(nameof(FaultyOps))]
    public void VerificationFindsNothingWithoutAFault(string op)
    {
        DeviceDescription? device = Device.List().FirstOrDefault(d => d.Kind == DeviceKind.OpenCl && d.Available);
        Assert.SkipWhen(device is null, "no OpenCL device");
        Assert.False(IsFound(device!.Id, new SeededFault("none", op, "", "", "")));
    }

    private static bool IsFound(string deviceId, SeededFault fault)
    {
        // A device of its own, so that no compiled kernel of another row is reused; the disk cache goes by the text.
        using Device device = Device.Open(deviceId);
        using DeviceStream stream = device.CreateStream();
        OpCase op = OpCase.All.Single(op => op.Op == fault.Op);
        foreach (Problem problem in op.Problems)
        {
            if (!Verifier.Verify(stream, op, problem, fault.DType).Passed) return true;
        }

        foreach (Problem problem in op.Problems.Where(problem => op.InPlacePairs(problem).Count > 0).Take(4))
        {
            foreach (double value in SpecialValues)
            {
                if (!Verifier.Verify(stream, op, problem, fault.DType, change: spec => WithEveryThird(spec, value)).Passed) return true;
            }

            if (!Verifier.Verify(stream, op, problem, fault.DType, inPlace: true).Passed) return true;
        }

        return false;
    }

    private static TensorSpec WithEveryThird(TensorSpec spec, double value)
    {
        if (spec.Role == TensorRole.Output || !spec.DType.IsFloat()) return spec;
        return spec with { Values = [.. spec.Values.Select((v, i) => i % 3 == 0 ? value : v)] };
    }
}
