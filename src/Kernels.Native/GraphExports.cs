using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Kernels.Native;

/// <summary>
/// Graphs: work that was captured once (kernels_stream_begin_capture) and can be launched many times at the cost of one launch. A replay
/// does the same work on the same addresses, with the same bits as the calls it was captured from; values of the host are those of the
/// capture. What changes lies in device memory: keys, learning rates, the loss scale.
/// </summary>
public static unsafe class GraphExports
{
    /// <summary>Queues one replay.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="stream">A stream of its device, not necessarily the one that was captured.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_graph_launch")]
    public static Status Launch(CGraph graph, CStream stream) => Failure.Guard(() => Get(graph).Launch(Arguments.Stream(stream).Stream));

    /// <summary>How many kernels one replay launches.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="count">Gets the number.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_graph_kernel_count")]
    public static Status KernelCount(CGraph graph, [Out] int* count) => Failure.Guard(() =>
    {
        Arguments.Result(count, "graph_kernel_count", nameof(count));
        *count = Get(graph).KernelCount;
    });

    /// <summary>Lets a graph and the memory it kept go, when replays that are queued have run.</summary>
    /// <param name="graph">The graph.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_graph_free")]
    public static Status Free([AllowNull] CGraph graph) => Failure.Guard(() => Handles.Remove<DeviceGraph>(graph.Value, nameof(graph)));

    private static DeviceGraph Get(CGraph graph) => Handles.Get<DeviceGraph>(graph.Value, nameof(graph));
}
