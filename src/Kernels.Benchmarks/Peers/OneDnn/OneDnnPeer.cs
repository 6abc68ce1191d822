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
        ("relu", ReluProblem p) => program => program.Relu(
            p.Shape.Aggregate(1L, (product, dimension) => product * dimension), backward: p.Entry == "backward"),
        ("conv2d", Conv2dProblem { Entry: not "forward relu" } p) => program => program.Convolution(p),
        _ => null,
    };
}

/// <summary>One primitive with its operands. Layouts are the ones our own ops get: nothing is reordered ahead of time.</summary>
internal sealed unsafe class OneDnnProgram(nint engine, nint stream, DType dtype, DeviceTensors tensors) : IDisposable
{
    private readonly List<ExecuteArgument> _arguments = [];
    private nint _primitive;

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

    /// <summary>ReLU of <paramref name="count"/> elements.</summary>
    public string Relu(long count, bool backward)
    {
        byte* shape = stackalloc byte[DescriptorBytes], op = stackalloc byte[DescriptorBytes];
        Add(Source, "x", shape, 1, count);
        if (!backward)
        {
            Add(Destination, "y", shape, 1, count);
            ThrowIfFailed(dnnl_eltwise_forward_desc_init(op, ForwardTraining, EltwiseRelu, shape, 0, 0));
            Create(op);
            return "dnnl_eltwise_forward, relu";
        }

        Add(DestinationGradient, "dy", shape, 1, count);
        Add(SourceGradient, "dx", shape, 1, count);
        byte* forward = stackalloc byte[DescriptorBytes];
        ThrowIfFailed(dnnl_eltwise_forward_desc_init(forward, ForwardTraining, EltwiseRelu, shape, 0, 0));
        ThrowIfFailed(dnnl_eltwise_backward_desc_init(op, EltwiseRelu, shape, shape, 0, 0));
        ThrowIfFailed(dnnl_primitive_desc_create(out nint hint, forward, 0, engine, 0));
        try
        {
            Create(op, hint);
        }
        finally
        {
            dnnl_primitive_desc_destroy(hint);
        }

        return "dnnl_eltwise_backward, relu";
    }

    /// <summary>A convolution, or one of its gradients.</summary>
    public string Convolution(Conv2dProblem p)
    {
        byte* source = stackalloc byte[DescriptorBytes], weights = stackalloc byte[DescriptorBytes];
        byte* bias = stackalloc byte[DescriptorBytes], destination = stackalloc byte[DescriptorBytes];
        byte* forward = stackalloc byte[DescriptorBytes], op = stackalloc byte[DescriptorBytes];
        long* strides = stackalloc long[] { p.Stride.Height, p.Stride.Width };
        long* dilations = stackalloc long[] { p.Dilation.Height - 1, p.Dilation.Width - 1 };
        long* before = stackalloc long[] { p.Padding.Top, p.Padding.Left }, after = stackalloc long[] { p.Padding.Bottom, p.Padding.Right };
        long[] filter = [p.Groups, p.Outputs / p.Groups, p.Channels / p.Groups, p.FilterHeight, p.FilterWidth];
        bool ofData = p.Entry == "backward data", ofFilter = p.Entry == "backward filter";
        bool hasBias = p.HasBias && !ofData;
        AddMaps(ofData ? SourceGradient : Source, ofData ? "dx" : "x", source, [p.Batch, p.Channels, p.Height, p.Width], p.ChannelsLast);
        AddMaps(ofFilter ? WeightsGradient : Weights, ofFilter ? "dfilter" : "filter", weights, filter, p.ChannelsLast);
        AddMaps(ofData || ofFilter ? DestinationGradient : Destination, ofData || ofFilter ? "dy" : "y", destination,
            [p.Batch, p.Outputs, p.OutputHeight, p.OutputWidth], p.ChannelsLast);
        if (hasBias) AddMaps(ofFilter ? BiasGradient : Bias, ofFilter ? "dbias" : "bias", bias, [p.Outputs], channelsLast: false);
        ThrowIfFailed(dnnl_dilated_convolution_forward_desc_init(
            forward, ForwardTraining, ConvolutionAuto, source, weights, hasBias ? bias : null, destination, strides, dilations, before,
            after));
        if (!ofData && !ofFilter)
        {
            Create(forward);
            return "dnnl_convolution_forward";
        }

        int status = ofData
            ? dnnl_dilated_convolution_backward_data_desc_init(
                op, ConvolutionAuto, source, weights, destination, strides, dilations, before, after)
            : dnnl_dilated_convolution_backward_weights_desc_init(
                op, ConvolutionAuto, source, weights, hasBias ? bias : null, destination, strides, dilations, before, after);
        ThrowIfFailed(status, "dnnl_dilated_convolution_backward_desc_init");
        ThrowIfFailed(dnnl_primitive_desc_create(out nint hint, forward, 0, engine, 0));
        try
        {
            Create(op, hint);
        }
        finally
        {
            dnnl_primitive_desc_destroy(hint);
        }

        return ofData ? "dnnl_convolution_backward_data" : "dnnl_convolution_backward_weights";
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
        ThrowIfFailed(dnnl_primitive_desc_create(out nint hint, forward, 0, engine, 0));
        try
        {
            Create(op, hint);
        }
        finally
        {
            dnnl_primitive_desc_destroy(hint);
        }

        return "dnnl_batch_normalization_backward";

        void AddChannels(int role, string name, long row) => Add(
            role, (float*)tensors.Address(name, DType.Float32) + (row * problem.Channels), channels, [problem.Channels], [1],
            OneDnnType.Float32);
    }

    /// <summary>Runs the primitive and waits for it.</summary>
    public void Execute()
    {
        Span<ExecuteArgument> arguments = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_arguments);
        fixed (ExecuteArgument* first = arguments) ThrowIfFailed(dnnl_primitive_execute(_primitive, stream, arguments.Length, first));
        ThrowIfFailed(dnnl_stream_wait(stream));
    }

    public void Dispose()
    {
        if (_primitive != 0) dnnl_primitive_destroy(_primitive);
        foreach (ExecuteArgument argument in _arguments) dnnl_memory_destroy(argument.Memory);
    }

    private void Add(int role, string name, byte* descriptor, long rows, long columns, bool transposed = false)
    {
        // oneDNN 2.6 divides by some of the dimensions, and that ends the process.
        if (rows * columns == 0) throw new PeerException("an empty tensor");
        Add(role, name, descriptor, [rows, columns], [transposed ? 1 : columns, transposed ? rows : 1]);
    }

    /// <summary>A tensor whose last three axes are channels, height and width, whatever their order in memory.</summary>
    private void AddMaps(int role, string name, byte* descriptor, long[] shape, bool channelsLast)
    {
        if (shape.Contains(0)) throw new PeerException("an empty tensor");
        int rank = shape.Length;
        long[] strides = new long[rank];
        IEnumerable<int> fromInside = channelsLast ? [rank - 3, rank - 1, rank - 2, .. Outer(rank - 3)] : Outer(rank);
        long stride = 1;
        foreach (int axis in fromInside)
        {
            strides[axis] = stride;
            stride *= shape[axis];
        }

        Add(role, name, descriptor, shape, strides);

        static IEnumerable<int> Outer(int count) => Enumerable.Range(0, count).Reverse();
    }

    private void Add(int role, string name, byte* descriptor, long[] shape, long[] strides)
    {
        OneDnnType type = dtype switch
        {
            DType.Float16 => OneDnnType.Float16,
            DType.BFloat16 => OneDnnType.BFloat16,
            _ => OneDnnType.Float32,
        };
        fixed (long* dimensions = shape, distances = strides)
            ThrowIfFailed(dnnl_memory_desc_init_by_strides(descriptor, shape.Length, dimensions, type, distances));
        ThrowIfFailed(dnnl_memory_create(out nint memory, descriptor, engine, tensors.Address(name, dtype)));
        _arguments.Add(new ExecuteArgument { Role = role, Memory = memory });
    }

    private void Add(int role, void* address, byte* descriptor, long[] shape, long[] strides, OneDnnType? type = null)
    {
        if (shape.Contains(0)) throw new PeerException("an empty tensor");
        OneDnnType stored = type ?? dtype switch
        {
            DType.Float16 => OneDnnType.Float16,
            DType.BFloat16 => OneDnnType.BFloat16,
            _ => OneDnnType.Float32,
        };
        fixed (long* dimensions = shape, steps = strides)
            ThrowIfFailed(dnnl_memory_desc_init_by_strides(descriptor, shape.Length, dimensions, stored, steps));
        ThrowIfFailed(dnnl_memory_create(out nint memory, descriptor, engine, address));
        _arguments.Add(new ExecuteArgument { Role = role, Memory = memory });
    }

    private void Create(byte* op, nint forwardHint = 0)
    {
        ThrowIfFailed(dnnl_primitive_desc_create(out nint descriptor, op, 0, engine, forwardHint));
        int status = dnnl_primitive_create(out _primitive, descriptor);
        dnnl_primitive_desc_destroy(descriptor);
        ThrowIfFailed(status, "dnnl_primitive_create");
    }
}
