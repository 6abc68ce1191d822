using Kernels.Tests.Devices;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>Steps of training as a program makes them, with all that once waited for the device.</summary>
internal sealed class ThousandSteps : IDisposable
{
    /// <summary>Steps after which everything is compiled and allocated.</summary>
    public const int WarmUp = 20;

    private readonly TrainingStep<float> _onHost, _onDevice;
    private readonly DeviceTensor<double> _weights, _gradients;
    private readonly NormPenalty<double> _penalty;
    private readonly ParameterSnapshot<double> _snapshot;
    private readonly DeviceTensor<int> _ids;
    private readonly DeviceTensor<double> _rows;
    private readonly DeviceGraph _graph;
    private int _step;

    public ThousandSteps(Device device)
    {
        (_onHost, _onDevice) = (new TrainingStep<float>(device, rateIsOnHost: true), new TrainingStep<float>(device));
        (_weights, _gradients) = (device.Upload<double>([1, -2, 3, -4], 2, 2), device.Allocate<double>(2, 2));
        _penalty = new NormPenalty<double>(device, [_weights], [_gradients], [new PenaltyStrength(0.1, 0.2)], L2Convention.Half);
        _snapshot = new ParameterSnapshot<double>(device, [_weights], SnapshotPlace.Host);
        (_ids, _rows) = (device.Upload<int>([1, 0], 2), device.Allocate<double>(2, 2));
        using DeviceStream stream = device.CreateStream();
        _graph = stream.Capture(() => _onDevice.Run(stream));
    }

    public void Run(DeviceStream stream, int steps)
    {
        for (int i = 0; i < steps; i++, _step++)
        {
            _onHost.Schedule(stream, _step);
            _onHost.Run(stream);
            _onDevice.Schedule(stream, _step);
            _graph.Launch(stream);
            stream.Fill(_gradients, 0.1);
            _penalty.ForwardBackward(stream);
            EmbeddingDropout.Infer(stream, _ids, _weights, _rows);
            _snapshot.Save(stream);
            _snapshot.Restore(stream);
        }
    }

    /// <summary>Both ways to set the rate give the same bits, and the rest is as it should be.</summary>
    public void AssertTrained(DeviceStream stream)
    {
        Assert.Equal(_onHost.State(stream), _onDevice.State(stream));
        Assert.Equal([3, -4, 1, -2], _rows.ToArray(stream));
        Assert.Equal([1, -2, 3, -4], _weights.ToArray(stream));
    }

    public void Dispose()
    {
        IDisposable[] all = [_graph, _onHost, _onDevice, _penalty, _snapshot, _weights, _gradients, _ids, _rows];
        foreach (IDisposable disposable in all) disposable.Dispose();
    }
}
