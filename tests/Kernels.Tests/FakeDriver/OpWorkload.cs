using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>One problem of an op, from the making of its tensors to the reading of its results, in the steps of a plan.</summary>
internal sealed class OpWorkload(OpCase op, Problem problem)
{
    private readonly IReadOnlyList<TensorSpec> _specs = op.Tensors(problem, DType.Float32, Verifier.DefaultSeed);
    private byte[]? _expected;

    /// <summary>Called before and after the op.</summary>
    public Action<bool>? AtOp { get; set; }

    /// <summary>Runs the op; the results must be those of the first run, in which nothing should fail.</summary>
    public void Run(FaultPlan plan, Device device)
    {
        using DeviceStream stream = plan.Step(device.CreateStream);
        plan.Probe(stream.Synchronize);
        using GuardedTensors tensors = plan.Step(() => new GuardedTensors(stream, _specs));
        plan.Probe(() => op.Run(stream, problem, DType.Float32, tensors));
        AtOp?.Invoke(false);
        plan.Step(() => op.Run(stream, problem, DType.Float32, tensors));
        AtOp?.Invoke(true);
        plan.Step(stream.Synchronize);
        byte[] actual = [.. _specs.Where(spec => spec.Role != TensorRole.Input)
            .SelectMany(spec => plan.Step(() => tensors.Read(spec.Name)))];
        _expected ??= actual;
        // What was updated in place is updated twice where the failure came after the launch.
        if (plan.Error is null || _specs.All(spec => spec.Role != TensorRole.InOut)) Assert.Equal(_expected, actual);
    }

    public override string ToString() => $"{op} {problem}";
}
