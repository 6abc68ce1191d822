using Kernels.Verification;
using static Kernels.Benchmarks.OneDnn;

namespace Kernels.Benchmarks;

/// <summary>oneDNN on the CPU, in this process and on the very tensors that our own ops use. It has no dropout.</summary>
internal sealed unsafe class OneDnnPeer : Peer
{
    private readonly nint _engine;
    private readonly nint _stream;

    /// <exception cref="PeerException">The library is missing or of another version.</exception>
    public OneDnnPeer(DeviceStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        PeerLibraries.Load(PeerLibraries.OneDnn);
        OneDnn.Version* version = dnnl_version();
        Name = $"oneDNN {version->Major}.{version->Minor}.{version->Patch}";
        if (version->Major != 2) throw new PeerException($"{Name} has another C API than version 2");
        ThrowIfFailed(dnnl_engine_create(out _engine, CpuEngine, 0));
        ThrowIfFailed(dnnl_stream_create(out _stream, _engine, DefaultStream));
    }

    public override string Name { get; }

    public override string? Reject(OpCase op, Problem problem, DType dtype) =>
        dtype == DType.Float64 ? "no double precision" : Counterpart(op, problem) is null ? NoCounterpart : null;

    public override PeerCall Prepare(OpCase op, Problem problem, DType dtype, DeviceTensors tensors)
    {
        if (Reject(op, problem, dtype) is { } reason) throw new PeerException(reason);
        OneDnnProgram program = new(_engine, _stream, dtype, tensors);
        try
        {
            string name = Counterpart(op, problem)!(program);
            program.Execute();
            return new QueuedCall(name, program.Execute, program.Dispose);
        }
        catch
        {
            program.Dispose();
            throw;
        }
    }

    public override void Dispose()
    {
        dnnl_stream_destroy(_stream);
        dnnl_engine_destroy(_engine);
        base.Dispose();
    }

    /// <summary>The builder of the same computation, and its name. Ops can share a kind of problem, so the op decides too.</summary>
    private static Func<OneDnnProgram, string>? Counterpart(OpCase op, Problem problem) => (op.Op, problem) switch
    {
        ("matmul", MatMulProblem p) => program => program.MatMul(
            ("a", p.M, p.K, p.TransposeA), ("b", p.K, p.N, p.TransposeB), bias: null, ("c", p.M, p.N, false)),
        ("linear", LinearProblem { Entry: "forward" } p) => program => program.MatMul(
            ("x", p.Rows, p.Inputs, false), ("weight", p.Inputs, p.Outputs, true), p.HasBias ? "bias" : null,
            ("y", p.Rows, p.Outputs, false)),
        ("batch-norm", BatchNormProblem { HasGamma: true, HasBeta: true } p) => program => program.BatchNorm(p),
        ("relu", ReluProblem { Entry: "forward" } p) => program => program.Elementwise("relu", EltwiseRelu, 0, Count(p.Shape)),
        ("relu", ReluProblem p) => program => program.ElementwiseGradient("relu", EltwiseRelu, 0, Count(p.Shape), from: "x"),
        (_, ActivationProblem { Entry: "forward" } p) => program =>
            program.Elementwise(op.Op, Eltwise(op.Op).Forward, LeakyReluCase.Slope, Count(p.Shape)),
        (_, ActivationProblem p) => program =>
            program.ElementwiseGradient(op.Op, Eltwise(op.Op).Backward, LeakyReluCase.Slope, Count(p.Shape), from: "y"),
        ("conv2d", Conv2dProblem { Entry: not "forward relu" } p) => program => program.Convolution(p, isTransposed: false),
        ("conv2d-transpose", Conv2dProblem p) => program => program.Convolution(p, isTransposed: true),
        ("max-pool2d", MaxPool2dProblem { Dilation: null } p) => program => program.Pool(p, PoolingMax),
        ("average-pool2d", AveragePool2dProblem { Dilation: null, Divisor: null, CeilMode: false } p) => program =>
            program.Pool(p, p.ExcludesPadding ? PoolingAverageExcludingPadding : PoolingAverageIncludingPadding),
        _ => null,
    };

    private static (int Forward, int Backward) Eltwise(string activation) => activation switch
    {
        "tanh" => (EltwiseTanh, EltwiseTanhOfOutput),
        "sigmoid" => (EltwiseLogistic, EltwiseLogisticOfOutput),
        _ => (EltwiseRelu, EltwiseReluOfOutput),
    };

    private static long Count(long[] shape) => shape.Aggregate(1L, (product, dimension) => product * dimension);
}
