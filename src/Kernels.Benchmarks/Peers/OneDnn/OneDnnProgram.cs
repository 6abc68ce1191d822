using Kernels.Verification;
using static Kernels.Benchmarks.OneDnn;

namespace Kernels.Benchmarks;

/// <summary>
/// One primitive with its operands. Layouts are the ones our own ops get: nothing is reordered ahead of time. What the primitive wants in
/// another one, the timed call itself reorders.
/// </summary>
internal sealed unsafe partial class OneDnnProgram(nint engine, nint stream, DType dtype, DeviceTensors tensors) : IDisposable
{
    private readonly List<ExecuteArgument> _arguments = [];
    private readonly List<(nint Primitive, ExecuteArgument[] Arguments)> _before = [], _after = [];
    private readonly List<nint> _reordered = [];
    private nint _primitive;

    private OneDnnType StoredType => dtype switch
    {
        DType.Float16 => OneDnnType.Float16,
        DType.BFloat16 => OneDnnType.BFloat16,
        _ => OneDnnType.Float32,
    };

    /// <summary>destination = source weights (+ bias). A transposed matrix is stored as columns by rows.</summary>
    public string MatMul(
        (string Name, long Rows, long Columns, bool Transposed) source, (string Name, long Rows, long Columns, bool Transposed) weights,
        string? bias, (string Name, long Rows, long Columns, bool Transposed) destination)
    {
        byte* sourceShape = stackalloc byte[DescriptorBytes], weightsShape = stackalloc byte[DescriptorBytes];
        byte* biasShape = stackalloc byte[DescriptorBytes], destinationShape = stackalloc byte[DescriptorBytes];
        byte* op = stackalloc byte[DescriptorBytes];
        Add(Source, source.Name, sourceShape, source.Rows, source.Columns, source.Transposed);
        Add(Weights, weights.Name, weightsShape, weights.Rows, weights.Columns, weights.Transposed);
        if (bias is not null) Add(Bias, bias, biasShape, 1, destination.Columns);
        Add(Destination, destination.Name, destinationShape, destination.Rows, destination.Columns);
        ThrowIfFailed(dnnl_matmul_desc_init(op, sourceShape, weightsShape, bias is null ? null : biasShape, destinationShape));
        Create(op);
        return bias is null ? "dnnl_matmul" : "dnnl_matmul with bias";
    }

    /// <summary>A function of each of <paramref name="count"/> elements.</summary>
    public string Elementwise(string function, int algorithm, float alpha, long count)
    {
        byte* shape = stackalloc byte[DescriptorBytes], op = stackalloc byte[DescriptorBytes];
        Add(Source, "x", shape, 1, count);
        Add(Destination, "y", shape, 1, count);
        ThrowIfFailed(dnnl_eltwise_forward_desc_init(op, ForwardTraining, algorithm, shape, alpha, 0));
        Create(op);
        return $"dnnl_eltwise_forward, {function}";
    }

    /// <summary>Its gradient from the input x, or from the output y where the algorithm says so.</summary>
    public string ElementwiseGradient(string function, int algorithm, float alpha, long count, string from)
    {
        byte* shape = stackalloc byte[DescriptorBytes], op = stackalloc byte[DescriptorBytes], forward = stackalloc byte[DescriptorBytes];
        Add(from == "x" ? Source : Destination, from, shape, 1, count);
        Add(DestinationGradient, "dy", shape, 1, count);
        Add(SourceGradient, "dx", shape, 1, count);
        ThrowIfFailed(dnnl_eltwise_forward_desc_init(forward, ForwardTraining, algorithm, shape, alpha, 0));
        ThrowIfFailed(dnnl_eltwise_backward_desc_init(op, algorithm, shape, shape, alpha, 0));
        CreateBackward(op, forward);
        return $"dnnl_eltwise_backward, {function}";
    }

    /// <summary>Batch normalization. It keeps the variance in the rows of the statistics that are no mean.</summary>
    public string BatchNorm(BatchNormProblem problem)
    {
        byte* shape = stackalloc byte[DescriptorBytes], channels = stackalloc byte[DescriptorBytes];
        byte* forward = stackalloc byte[DescriptorBytes], op = stackalloc byte[DescriptorBytes];
        bool isLast = problem.Layout == TensorLayout.ChannelsLast;
        long[] dimensions = isLast ? [problem.Shape[0], problem.Channels, .. problem.Shape[1..^1]] : problem.Shape;
        long[] strides = new long[dimensions.Length];
        long stride = isLast ? problem.Channels : 1;
        for (int axis = dimensions.Length - 1; axis >= 0; axis--)
        {
            if (axis == 1 && isLast) continue;
            strides[axis] = stride;
            stride *= dimensions[axis];
        }

        if (isLast) strides[1] = 1;
        bool isBackward = problem.Entry == "backward", isInference = problem.Entry == "infer";
        float epsilon = (float)problem.Options.Epsilon;
        uint flags = UseScale | UseShift | (isInference ? UseGlobalStatistics : 0);
        Add(Source, tensors.Address("x", dtype), shape, dimensions, strides);
        AddChannels(Scale, "gamma", 0);
        ThrowIfFailed(dnnl_batch_normalization_forward_desc_init(
            forward, isInference ? ForwardInference : ForwardTraining, shape, epsilon, flags));
        if (!isBackward)
        {
            AddChannels(Shift, "beta", 0);
            AddChannels(Mean, isInference ? "running_mean" : "statistics", 0);
            AddChannels(Variance, isInference ? "running_variance" : "statistics", isInference ? 0 : 1);
            Add(Destination, tensors.Address("y", dtype), shape, dimensions, strides);
            Create(forward);
            return "dnnl_batch_normalization_forward";
        }

        // It asks for the shift too, and does not look at it.
        AddChannels(Shift, "gamma", 0);
        AddChannels(Mean, "statistics", 0);
        AddChannels(Variance, "statistics", 2);
        AddChannels(ScaleGradient, "dgamma", 0);
        AddChannels(ShiftGradient, "dbeta", 0);
        Add(DestinationGradient, tensors.Address("dy", dtype), shape, dimensions, strides);
        Add(SourceGradient, tensors.Address("dx", dtype), shape, dimensions, strides);
        ThrowIfFailed(dnnl_batch_normalization_backward_desc_init(op, Backward, shape, shape, epsilon, flags));
        CreateBackward(op, forward);
        return "dnnl_batch_normalization_backward";

        void AddChannels(int role, string name, long row) => Add(
            role, (float*)tensors.Address(name, DType.Float32) + (row * problem.Channels), channels, [problem.Channels], [1],
            OneDnnType.Float32);
    }

    /// <summary>Runs the primitive and waits for it.</summary>
    public void Execute()
    {
        foreach ((nint reorder, ExecuteArgument[] arguments) in _before) Queue(reorder, arguments);
        Queue(_primitive, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_arguments));
        foreach ((nint reorder, ExecuteArgument[] arguments) in _after) Queue(reorder, arguments);
        ThrowIfFailed(dnnl_stream_wait(stream));
    }

    public void Dispose()
    {
        if (_primitive != 0) dnnl_primitive_destroy(_primitive);
        foreach ((nint reorder, _) in _before.Concat(_after)) dnnl_primitive_destroy(reorder);
        foreach (ExecuteArgument argument in _arguments) dnnl_memory_destroy(argument.Memory);
        foreach (nint memory in _reordered) dnnl_memory_destroy(memory);
    }

    private void Queue(nint primitive, ReadOnlySpan<ExecuteArgument> arguments)
    {
        fixed (ExecuteArgument* first = arguments) ThrowIfFailed(dnnl_primitive_execute(primitive, stream, arguments.Length, first));
    }

    private void Add(int role, string name, byte* descriptor, long rows, long columns, bool transposed = false)
    {
        // oneDNN 2.6 divides by some of the dimensions, and that ends the process.
        if (rows * columns == 0) throw new PeerException("an empty tensor");
        Add(role, name, descriptor, [rows, columns], [transposed ? 1 : columns, transposed ? rows : 1]);
    }

    private void Add(int role, string name, byte* descriptor, long[] shape, long[] strides) =>
        Add(role, tensors.Address(name, dtype), descriptor, shape, strides);

    private void Add(int role, void* address, byte* descriptor, long[] shape, long[] strides, OneDnnType? type = null)
    {
        if (shape.Contains(0)) throw new PeerException("an empty tensor");
        OneDnnType stored = type ?? StoredType;
        fixed (long* dimensions = shape, steps = strides)
            ThrowIfFailed(dnnl_memory_desc_init_by_strides(descriptor, shape.Length, dimensions, stored, steps));
        ThrowIfFailed(dnnl_memory_create(out nint memory, descriptor, engine, address));
        _arguments.Add(new ExecuteArgument { Role = role, Memory = memory });
    }

    /// <summary>A gradient, which is made with the forward call's descriptor as a hint.</summary>
    private void CreateBackward(byte* op, byte* forward, params ReadOnlySpan<Operand> free)
    {
        ThrowIfFailed(dnnl_primitive_desc_create(out nint hint, forward, 0, engine, 0));
        try
        {
            Create(op, hint, free);
        }
        finally
        {
            dnnl_primitive_desc_destroy(hint);
        }
    }

    /// <summary>The primitive. Operands whose layout is its choice are reordered from and to ours.</summary>
    private void Create(byte* op, nint forwardHint = 0, params ReadOnlySpan<Operand> free)
    {
        ThrowIfFailed(dnnl_primitive_desc_create(out nint descriptor, op, 0, engine, forwardHint));
        try
        {
            ThrowIfFailed(dnnl_primitive_desc_query(descriptor, QueryImplementation, 0, out nint implementation));
            string name = System.Runtime.InteropServices.Marshal.PtrToStringUTF8(implementation) ?? "";
            if (name.StartsWith("ref", StringComparison.Ordinal)) throw new PeerException($"only its reference implementation, {name}");
            foreach (Operand operand in free) Reorder(descriptor, operand);
            ThrowIfFailed(dnnl_primitive_create(out _primitive, descriptor));
        }
        finally
        {
            dnnl_primitive_desc_destroy(descriptor);
        }
    }
}
