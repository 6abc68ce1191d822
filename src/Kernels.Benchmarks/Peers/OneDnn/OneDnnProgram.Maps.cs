using Kernels.Verification;
using static Kernels.Benchmarks.OneDnn;

namespace Kernels.Benchmarks;

/// <summary>Convolutions and pooling.</summary>
internal sealed unsafe partial class OneDnnProgram
{
    /// <summary>A convolution, a transposed one, or one of their gradients. A problem is always that of the convolution.</summary>
    public string Convolution(Conv2dProblem p, bool isTransposed)
    {
        byte* from = stackalloc byte[DescriptorBytes], filter = stackalloc byte[DescriptorBytes], to = stackalloc byte[DescriptorBytes];
        byte* source = stackalloc byte[DescriptorBytes], weights = stackalloc byte[DescriptorBytes];
        byte* destination = stackalloc byte[DescriptorBytes], bias = stackalloc byte[DescriptorBytes];
        byte* forward = stackalloc byte[DescriptorBytes], op = stackalloc byte[DescriptorBytes];
        long* strides = stackalloc long[] { p.Stride.Height, p.Stride.Width };
        long* dilations = stackalloc long[] { p.Dilation.Height - 1, p.Dilation.Width - 1 };
        long* before = stackalloc long[] { p.Padding.Top, p.Padding.Left }, after = stackalloc long[] { p.Padding.Bottom, p.Padding.Right };
        long[] x = [p.Batch, p.Channels, p.Height, p.Width], y = [p.Batch, p.Outputs, p.OutputHeight, p.OutputWidth];
        if (isTransposed) (x, y) = (y, x);
        long[] filterShape = [p.Groups, p.Outputs / p.Groups, p.Channels / p.Groups, p.FilterHeight, p.FilterWidth];
        bool ofData = p.Entry == "backward data", ofFilter = p.Entry == "backward filter", isForward = !ofData && !ofFilter;
        bool hasBias = p.HasBias && !ofData;
        (int sourceRole, int filterRole, int destinationRole) = (
            ofData ? SourceGradient : Source, ofFilter ? WeightsGradient : Weights, isForward ? Destination : DestinationGradient);
        AddMaps(sourceRole, ofData ? "dx" : "x", from, x, p.ChannelsLast);
        AddMaps(filterRole, ofFilter ? "dfilter" : "filter", filter, filterShape, p.ChannelsLast, isTransposed);
        AddMaps(destinationRole, isForward ? "y" : "dy", to, y, p.ChannelsLast);

        // With ours for the filter, and channels last, it has nothing but its reference loops; with ours for the maps, no Winograd.
        if (isTransposed) (filterShape[1], filterShape[2]) = (filterShape[2], filterShape[1]);
        ChooseLayout(weights, filterShape);
        Operand[] free = [new(filterRole, (nint)filter)];
        if (p.Algorithm == Conv2dAlgorithm.Winograd)
        {
            ChooseLayout(source, x);
            ChooseLayout(destination, y);
            free = [new(sourceRole, (nint)from), new(filterRole, (nint)filter), new(destinationRole, (nint)to)];
        }
        else
        {
            source = from;
            destination = to;
        }

        if (hasBias)
            Add(ofFilter ? BiasGradient : Bias, ofFilter ? "dbias" : "bias", bias, [y[1]], [1]);
        else
            bias = null;
        ThrowIfFailed(isTransposed
            ? dnnl_dilated_deconvolution_forward_desc_init(
                forward, ForwardTraining, DeconvolutionDirect, source, weights, bias, destination, strides, dilations, before, after)
            : dnnl_dilated_convolution_forward_desc_init(
                forward, ForwardTraining, ConvolutionAuto, source, weights, bias, destination, strides, dilations, before, after));
        string name = isTransposed ? "dnnl_deconvolution" : "dnnl_convolution";
        if (isForward)
        {
            Create(forward, 0, free);
            return $"{name}_forward";
        }

        int status = (isTransposed, ofData) switch
        {
            (false, true) => dnnl_dilated_convolution_backward_data_desc_init(
                op, ConvolutionAuto, source, weights, destination, strides, dilations, before, after),
            (false, false) => dnnl_dilated_convolution_backward_weights_desc_init(
                op, ConvolutionAuto, source, weights, bias, destination, strides, dilations, before, after),
            (true, true) => dnnl_dilated_deconvolution_backward_data_desc_init(
                op, DeconvolutionDirect, source, weights, destination, strides, dilations, before, after),
            (true, false) => dnnl_dilated_deconvolution_backward_weights_desc_init(
                op, DeconvolutionDirect, source, weights, bias, destination, strides, dilations, before, after),
        };
        ThrowIfFailed(status, $"{name}_backward_desc_init");
        CreateBackward(op, forward, free);
        return ofData ? $"{name}_backward_data" : $"{name}_backward_weights";
    }

    /// <summary>Has an operand reordered in each call where the primitive has another layout for it than ours.</summary>
    private void Reorder(nint descriptor, in Operand operand)
    {
        int role = operand.Role;
        void* plain = (void*)operand.Layout;
        bool isResult = role is SourceGradient or WeightsGradient or Destination;
        void* wanted = dnnl_primitive_desc_query_md(descriptor, operand.Query, 0);
        if (dnnl_memory_desc_equal(wanted, plain) != 0) return;
        int place = _arguments.FindIndex(argument => argument.Role == role);
        nint ours = _arguments[place].Memory, theirs = Allocate(wanted);
        _reordered.Add(ours);
        _arguments[place] = new ExecuteArgument { Role = role, Memory = theirs };
        (nint from, nint to) = isResult ? ((nint)wanted, (nint)plain) : ((nint)plain, (nint)wanted);
        ThrowIfFailed(dnnl_reorder_primitive_desc_create(out nint reorder, (void*)from, engine, (void*)to, engine, 0));
        int status = dnnl_primitive_create(out nint primitive, reorder);
        dnnl_primitive_desc_destroy(reorder);
        ThrowIfFailed(status, "dnnl_primitive_create");
        (isResult ? _after : _before).Add((primitive,
        [
            new() { Role = Source, Memory = isResult ? theirs : ours }, new() { Role = Destination, Memory = isResult ? ours : theirs },
        ]));
    }

    /// <summary>A shape whose layout the primitive chooses.</summary>
    private void ChooseLayout(byte* descriptor, long[] shape)
    {
        fixed (long* dimensions = shape)
            ThrowIfFailed(dnnl_memory_desc_init_by_tag(descriptor, shape.Length, dimensions, StoredType, AnyLayout));
    }

    /// <summary>Pooling, or its gradient. The places of largest elements are in a workspace of oneDNN's own.</summary>
    public string Pool(Pool2dProblem p, int algorithm)
    {
        byte* source = stackalloc byte[DescriptorBytes], destination = stackalloc byte[DescriptorBytes];
        byte* forward = stackalloc byte[DescriptorBytes], op = stackalloc byte[DescriptorBytes];
        bool isLast = p.Layout == TensorLayout.ChannelsLast, isBackward = p.Entry.EndsWith("backward", StringComparison.Ordinal);
        Size2d stride = p.Stride ?? p.Window;
        long[] x = isLast ? [p.Shape[0], p.Shape[3], p.Shape[1], p.Shape[2]] : p.Shape;
        long[] y = [x[0], x[1], p.OutputHeight, p.OutputWidth];
        long* strides = stackalloc long[] { stride.Height, stride.Width }, window = stackalloc long[] { p.Window.Height, p.Window.Width };
        long* before = stackalloc long[] { p.Padding.Top, p.Padding.Left };
        long* after = stackalloc long[]
        {
            Math.Max(p.Padding.Bottom, ((y[2] - 1) * stride.Height) + p.Window.Height - x[2] - p.Padding.Top),
            Math.Max(p.Padding.Right, ((y[3] - 1) * stride.Width) + p.Window.Width - x[3] - p.Padding.Left),
        };
        AddMaps(isBackward ? SourceGradient : Source, isBackward ? "dx" : "x", source, x, isLast);
        AddMaps(isBackward ? DestinationGradient : Destination, isBackward ? "dy" : "y", destination, y, isLast);
        ThrowIfFailed(dnnl_pooling_forward_desc_init(
            forward, p.Entry == "infer" ? ForwardInference : ForwardTraining, algorithm, source, destination, strides, window, before,
            after));
        if (algorithm == PoolingMax && p.Entry != "infer") AddWorkspace(forward, source, destination, isBackward);
        if (!isBackward)
        {
            Create(forward);
            return "dnnl_pooling_forward";
        }

        ThrowIfFailed(dnnl_pooling_backward_desc_init(op, algorithm, source, destination, strides, window, before, after));
        CreateBackward(op, forward);
        return "dnnl_pooling_backward";
    }

    /// <summary>The workspace of a forward call, which is run for what it leaves there where the gradient is wanted.</summary>
    private void AddWorkspace(byte* forward, byte* source, byte* destination, bool isBackward)
    {
        ThrowIfFailed(dnnl_primitive_desc_create(out nint descriptor, forward, 0, engine, 0));
        try
        {
            nint workspace = Allocate(dnnl_primitive_desc_query_md(descriptor, QueryWorkspace, 0));
            _arguments.Add(new ExecuteArgument { Role = Workspace, Memory = workspace });
            if (!isBackward) return;
            nint x = Allocate(source), y = Allocate(destination);
            try
            {
                Scatter(x, source);
                ExecuteArgument* arguments = stackalloc ExecuteArgument[]
                {
                    new() { Role = Source, Memory = x }, new() { Role = Destination, Memory = y },
                    new() { Role = Workspace, Memory = workspace },
                };
                ThrowIfFailed(dnnl_primitive_create(out nint primitive, descriptor));
                int status = dnnl_primitive_execute(primitive, stream, 3, arguments);
                dnnl_stream_wait(stream);
                dnnl_primitive_destroy(primitive);
                ThrowIfFailed(status, "dnnl_primitive_execute");
            }
            finally
            {
                dnnl_memory_destroy(x);
                dnnl_memory_destroy(y);
            }
        }
        finally
        {
            dnnl_primitive_desc_destroy(descriptor);
        }
    }

    private nint Allocate(void* descriptor)
    {
        ThrowIfFailed(dnnl_memory_create(out nint memory, descriptor, engine, AllocateMemory));
        return memory;
    }

    /// <summary>Finite numbers without an order: pairs of bytes that are bfloat16, float16, or the upper half of floats.</summary>
    private static void Scatter(nint memory, void* descriptor)
    {
        ThrowIfFailed(dnnl_memory_get_data_handle(memory, out nint address));
        Span<ushort> halves = new((void*)address, checked((int)(dnnl_memory_desc_get_size(descriptor) / sizeof(ushort))));
        for (int i = 0; i < halves.Length; i++) halves[i] = (ushort)((i * 40503) & 0xBFFF);
    }

    /// <summary>
    /// A tensor whose last three axes are channels, height and width, whatever their order in memory; the filter of a transposed
    /// convolution has the channels before them where others have outputs.
    /// </summary>
    private void AddMaps(int role, string name, byte* descriptor, long[] shape, bool channelsLast, bool isTransposedFilter = false)
    {
        int rank = shape.Length;
        long[] strides = new long[rank];
        IEnumerable<int> fromInside = channelsLast ? [rank - 3, rank - 1, rank - 2, .. Outer(rank - 3)] : Outer(rank);
        long stride = 1;
        foreach (int axis in fromInside)
        {
            strides[axis] = stride;
            stride *= shape[axis];
        }

        if (isTransposedFilter)
        {
            (strides[1], strides[2]) = (strides[2], strides[1]);
            shape = [shape[0], shape[2], shape[1], .. shape[3..]];
        }

        Add(role, name, descriptor, shape, strides);

        static IEnumerable<int> Outer(int count) => Enumerable.Range(0, count).Reverse();
    }

    /// <summary>A tensor of a primitive that chooses its layout, and the descriptor of ours.</summary>
    private readonly record struct Operand(int Role, nint Layout)
    {
        public int Query => Role switch
        {
            Source => QuerySource,
            SourceGradient => QuerySource + 1,
            Weights => QuerySource + 2,
            WeightsGradient => QuerySource + 3,
            Destination => QuerySource + 4,
            _ => QuerySource + 5,
        };
    }
}
