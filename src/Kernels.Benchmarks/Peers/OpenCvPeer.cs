using System.Text.Json;
using Kernels.Verification;

namespace Kernels.Benchmarks;

/// <summary>OpenCV on the CPU, in a process of its own: an image at a time on each of as many threads as the CPU device uses.</summary>
internal sealed class OpenCvPeer : Peer
{
    private readonly PeerProcess _process;

    private OpenCvPeer(string python)
    {
        (_process, JsonElement reply) = PythonPeers.Start(
            python, "opencv", new Dictionary<string, string>(), new { Do = "start", Threads = Environment.ProcessorCount });
        Name = PythonPeers.Text(reply, "name");
    }

    public override string Name { get; }

    /// <summary>Starts the first Python that can import OpenCV.</summary>
    /// <exception cref="PeerException">There is none; the message says what was tried.</exception>
    public static OpenCvPeer Start() => PythonPeers.First("OpenCV", python => new OpenCvPeer(python));

    public override PeerCall Prepare(OpCase op, Problem problem, DType dtype, DeviceTensors tensors) =>
        PythonPeers.Prepare(_process, op, problem, dtype, tensors: null);

    public override void Dispose()
    {
        _process.Dispose();
        base.Dispose();
    }
}
