namespace Kernels.Verification;

/// <summary>Batch normalization, residual, ReLU and dropout in one pass.</summary>
public sealed class BatchNormAddReluCase : BatchNormFollowedCase
{
    public BatchNormAddReluCase()
        : base(adds: true)
    {
    }

    public override string Op => "batch-norm-add-relu";

    public override bool TakesKey => true;

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) => problem.Entry switch
    {
        "forward" => [("residual", "y")],
        "infer" => [("residual", "y")],
        _ => [("dy", "dx")],
    };

    private protected override void Forward<T, TReal>(
        DeviceStream stream, BatchNormReluProblem p, DeviceTensors tensors, in Channels<TReal> of) => BatchNormAddRelu.Forward(
        stream, tensors.Get<T>("x"), tensors.Get<T>("residual"), of.Gamma, of.Beta, tensors.Get<T>("y"), tensors.Get<TReal>("statistics"),
        of.Mean, of.Variance, p.DropProbability, tensors.Key(Key), p.With(tensors));

    private protected override void Infer<T, TReal>(
        DeviceStream stream, BatchNormReluProblem p, DeviceTensors tensors, in Channels<TReal> of) => BatchNormAddRelu.Infer(
        stream, tensors.Get<T>("x"), tensors.Get<T>("residual"), of.Gamma, of.Beta, of.Mean!, of.Variance!, tensors.Get<T>("y"),
        p.With(tensors));

    private protected override void Backward<T, TReal>(
        DeviceStream stream, BatchNormReluProblem p, DeviceTensors tensors, in Channels<TReal> of) => BatchNormAddRelu.Backward(
        stream, tensors.Get<T>("x"), tensors.Get<T>("y"), of.Gamma, tensors.Get<TReal>("statistics"), tensors.Get<T>("dy"),
        tensors.Get<T>("dx"), tensors.Get<T>("dresidual"), tensors.Get<TReal>("dgamma"), tensors.Get<TReal>("dbeta"), p.DropProbability,
        p.With(tensors));
}
