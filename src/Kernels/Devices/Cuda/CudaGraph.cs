using Kernels.Interop;
using static Kernels.Interop.CudaDriver;

namespace Kernels.Devices.Cuda;

/// <summary>A recording as a graph of the driver, made by telling the work to a stream that is captured.</summary>
internal sealed class CudaGraph : INativeGraph
{
    private readonly CudaDevice _device;
    private readonly CudaStream _captured;
    private readonly CudaGraphHandle _executable;

    private CudaGraph(CudaDevice device, CudaStream captured, CudaGraphHandle executable)
    {
        _device = device;
        _captured = captured;
        _executable = executable;
    }

    public static CudaGraph Create(CudaDevice device, GraphRecording recording)
    {
        // A stream of the graph's own: default streams cannot be captured, and cuBLAS has its workspace with the stream.
        CudaStream captured = device.CreateUnlistedStream();
        try
        {
            using CudaContext.Scope scope = device.Context.MakeCurrent();
            if (recording.Multiplies) captured.PrepareBlas();
            nint graph;
            lock (device.Context.WholeContext) graph = Capture(device, captured, recording);
            CudaStatus status = cuGraphInstantiateWithFlags(out nint executable, graph, 0);
            cuGraphDestroy(graph);
            device.Context.ThrowIfFailed(status, call: nameof(cuGraphInstantiateWithFlags));
            return new CudaGraph(device, captured, new CudaGraphHandle(device.Context, executable));
        }
        catch
        {
            captured.Dispose();
            throw;
        }
    }

    public void Launch(DeviceStream stream)
    {
        CudaStreamHandle queue = ((CudaQueueState)stream.Queue).Stream;
        using HandleLease lease = new(_executable);
        using CudaContext.Scope scope = _device.Context.MakeCurrent(queue);
        _device.Context.ThrowIfFailed(cuGraphLaunch(_executable.Value, queue.Value));
    }

    /// <summary>A replay that runs goes on to its end.</summary>
    public void Dispose()
    {
        _executable.Dispose();
        _captured.Dispose();
    }

    private static nint Capture(CudaDevice device, CudaStream captured, GraphRecording recording)
    {
        nint stream = ((CudaQueueState)captured.Queue).Stream.Value;
        // What other threads do with the driver meanwhile is no part of the graph and may go on, but for what waits for the whole context.
        device.Context.ThrowIfFailed(cuStreamBeginCapture_v2(stream, CudaCaptureMode.ThreadLocal));
        nint graph;
        try
        {
            recording.Play(captured);
        }
        catch
        {
            if (cuStreamEndCapture(stream, out graph) == CudaStatus.Success) cuGraphDestroy(graph);
            throw;
        }

        device.Context.ThrowIfFailed(cuStreamEndCapture(stream, out graph));
        return graph;
    }
}
