using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Kernels.Benchmarks;

/// <summary>The C API of oneDNN 2 under its own names; every call but the first returns a status, 0 for success.</summary>
internal static unsafe partial class OneDnn
{
    internal const int CpuEngine = 1;
    internal const uint DefaultStream = 1;
    internal const int ForwardTraining = 64;
    internal const int ForwardInference = 96;
    internal const int Backward = 128;
    internal const int EltwiseRelu = 0x1f, EltwiseTanh = 0x2f, EltwiseLogistic = 0xaf;

    /// <summary>The same, whose gradient is taken from the output.</summary>
    internal const int EltwiseReluOfOutput = 0x100, EltwiseTanhOfOutput = 0x101, EltwiseLogisticOfOutput = 0x104;

    internal const int ConvolutionAuto = 3;
    internal const int DeconvolutionDirect = 10;
    internal const int PoolingMax = 0x1ff, PoolingAverageIncludingPadding = 0x2ff, PoolingAverageExcludingPadding = 0x3ff;

    /// <summary>Behind the source stand its gradient, the weights, theirs, the destination and its gradient.</summary>
    internal const int QueryImplementation = 8, QuerySource = 129, QueryWorkspace = 135;

    /// <summary>A layout that the library may choose.</summary>
    internal const int AnyLayout = 1;

    /// <summary>An address that stands for memory of the library's own.</summary>
    internal static readonly void* AllocateMemory = (void*)-1;

    /// <summary>Flags of batch normalization: mean and variance are given, there is a factor, there is a shift.</summary>
    internal const uint UseGlobalStatistics = 1, UseScale = 8, UseShift = 16;

    /// <summary>Roles of tensors in <see cref="ExecuteArgument"/>.</summary>
    internal const int Source = 1, Destination = 17, Weights = 33, Bias = 41, SourceGradient = 129, DestinationGradient = 145,
        WeightsGradient = 161, BiasGradient = 169, Workspace = 64;

    /// <summary>Roles of the channels' tensors in batch normalization.</summary>
    internal const int Mean = 49, Variance = 50, Scale = 51, Shift = 52, ScaleGradient = 255, ShiftGradient = 256;

    /// <summary>
    /// More than any descriptor of version 2 takes (the largest has some 6 KB); they are filled by the library and opaque to us.
    /// </summary>
    internal const int DescriptorBytes = 16384;

    [LibraryImport(PeerLibraries.OneDnn)] internal static partial Version* dnnl_version();
    [LibraryImport(PeerLibraries.OneDnn)] internal static partial int dnnl_engine_create(out nint engine, int kind, nuint index);
    [LibraryImport(PeerLibraries.OneDnn)] internal static partial int dnnl_engine_destroy(nint engine);
    [LibraryImport(PeerLibraries.OneDnn)] internal static partial int dnnl_stream_create(out nint stream, nint engine, uint flags);
    [LibraryImport(PeerLibraries.OneDnn)] internal static partial int dnnl_stream_destroy(nint stream);
    [LibraryImport(PeerLibraries.OneDnn)] internal static partial int dnnl_stream_wait(nint stream);

    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_memory_desc_init_by_strides(
        void* descriptor, int dimensions, long* shape, OneDnnType type, long* strides);
    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_memory_desc_init_by_tag(void* descriptor, int dimensions, long* shape, OneDnnType type, int layout);
    [LibraryImport(PeerLibraries.OneDnn)] internal static partial int dnnl_memory_desc_equal(void* left, void* right);
    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_memory_create(
        out nint memory, void* descriptor, nint engine, void* address);
    [LibraryImport(PeerLibraries.OneDnn)] internal static partial int dnnl_memory_destroy(nint memory);
    [LibraryImport(PeerLibraries.OneDnn)] internal static partial int dnnl_memory_get_data_handle(nint memory, out nint address);
    [LibraryImport(PeerLibraries.OneDnn)] internal static partial nuint dnnl_memory_desc_get_size(void* descriptor);

    /// <summary>The bias may be null.</summary>
    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_matmul_desc_init(void* op, void* source, void* weights, void* bias, void* destination);

    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_eltwise_forward_desc_init(
        void* op, int propagation, int algorithm, void* data, float alpha, float beta);

    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_eltwise_backward_desc_init(
        void* op, int algorithm, void* gradient, void* data, float alpha, float beta);

    /// <summary>The bias may be null. Dilations count from 0.</summary>
    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_dilated_convolution_forward_desc_init(
        void* op, int propagation, int algorithm, void* source, void* weights, void* bias, void* destination, long* strides,
        long* dilations, long* paddingBefore, long* paddingAfter);

    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_dilated_convolution_backward_data_desc_init(
        void* op, int algorithm, void* sourceGradient, void* weights, void* destinationGradient, long* strides, long* dilations,
        long* paddingBefore, long* paddingAfter);

    /// <summary>The bias' gradient may be null.</summary>
    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_dilated_convolution_backward_weights_desc_init(
        void* op, int algorithm, void* source, void* weightsGradient, void* biasGradient, void* destinationGradient, long* strides,
        long* dilations, long* paddingBefore, long* paddingAfter);

    /// <summary>The bias may be null. Dilations count from 0.</summary>
    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_dilated_deconvolution_forward_desc_init(
        void* op, int propagation, int algorithm, void* source, void* weights, void* bias, void* destination, long* strides,
        long* dilations, long* paddingBefore, long* paddingAfter);

    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_dilated_deconvolution_backward_data_desc_init(
        void* op, int algorithm, void* sourceGradient, void* weights, void* destinationGradient, long* strides, long* dilations,
        long* paddingBefore, long* paddingAfter);

    /// <summary>The bias' gradient may be null.</summary>
    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_dilated_deconvolution_backward_weights_desc_init(
        void* op, int algorithm, void* source, void* weightsGradient, void* biasGradient, void* destinationGradient, long* strides,
        long* dilations, long* paddingBefore, long* paddingAfter);

    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_pooling_forward_desc_init(
        void* op, int propagation, int algorithm, void* source, void* destination, long* strides, long* window, long* paddingBefore,
        long* paddingAfter);

    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_pooling_backward_desc_init(
        void* op, int algorithm, void* sourceGradient, void* destinationGradient, long* strides, long* window, long* paddingBefore,
        long* paddingAfter);

    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_batch_normalization_forward_desc_init(
        void* op, int propagation, void* data, float epsilon, uint flags);

    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_batch_normalization_backward_desc_init(
        void* op, int propagation, void* gradient, void* data, float epsilon, uint flags);

    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_primitive_desc_create(out nint descriptor, void* op, nint attributes, nint engine, nint forwardHint);
    [LibraryImport(PeerLibraries.OneDnn)] internal static partial int dnnl_primitive_desc_destroy(nint descriptor);

    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_reorder_primitive_desc_create(
        out nint descriptor, void* source, nint sourceEngine, void* destination, nint destinationEngine, nint attributes);

    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_primitive_desc_query(nint descriptor, int what, int index, out nint result);

    /// <summary>A descriptor of memory that belongs to the primitive's descriptor.</summary>
    [LibraryImport(PeerLibraries.OneDnn)] internal static partial void* dnnl_primitive_desc_query_md(nint descriptor, int what, int index);
    [LibraryImport(PeerLibraries.OneDnn)] internal static partial int dnnl_primitive_create(out nint primitive, nint descriptor);
    [LibraryImport(PeerLibraries.OneDnn)] internal static partial int dnnl_primitive_destroy(nint primitive);

    [LibraryImport(PeerLibraries.OneDnn)]
    internal static partial int dnnl_primitive_execute(nint primitive, nint stream, int count, ExecuteArgument* arguments);

    /// <exception cref="PeerException">The status is not 0.</exception>
    internal static void ThrowIfFailed(int status, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        string name = status switch
        {
            1 => "out of memory",
            2 => "invalid arguments",
            3 => "unimplemented",
            6 => "not required",
            _ => "error",
        };
        if (status != 0) throw new PeerException($"oneDNN: {name} ({status}) from {call.Split('(')[0]}");
    }

    /// <summary>dnnl_version_t; the rest of it is not read.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal readonly struct Version
    {
        public readonly int Major, Minor, Patch;
    }

    /// <summary>dnnl_exec_arg_t.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ExecuteArgument
    {
        public int Role;
        public nint Memory;
    }
}

/// <summary>dnnl_data_type_t.</summary>
internal enum OneDnnType
{
    Float16 = 1,
    BFloat16 = 2,
    Float32 = 3,
}
