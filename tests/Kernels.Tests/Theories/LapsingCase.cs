using Kernels.Verification;

namespace Kernels.Tests.Theories;

/// <summary>An op whose results in float are not what they should be for some values: the negative control of special values.</summary>
internal sealed class LapsingCase(OpCase inner, Func<float, float> lapse) : OpCase
{
    public override string Op => inner.Op;

    public override IReadOnlyList<Problem> Problems => inner.Problems;

    public override IReadOnlyList<Problem> BenchProblems => inner.BenchProblems;

    public override double LargestInput(DType dtype) => inner.LargestInput(dtype);

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed) => inner.Tensors(problem, dtype, seed);

    public override void Reference(Problem problem, ReferenceValues values) => inner.Reference(problem, values);

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        inner.Run<T>(stream, problem, tensors);
        foreach (TensorSpec spec in Tensors(problem, DType.Float32, Verifier.DefaultSeed))
        {
            if (spec.Role == TensorRole.Input || spec.DType != DType.Float32) continue;
            DeviceTensor<float> tensor = tensors.Get<float>(spec.Name);
            stream.Upload([.. tensor.ToArray(stream).Select(lapse)], tensor);
        }
    }
}
