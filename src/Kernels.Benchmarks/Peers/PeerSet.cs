namespace Kernels.Benchmarks;

/// <summary>The peers found for a device, and why the others are missing.</summary>
public sealed class PeerSet : IDisposable
{
    private static readonly (string Id, DeviceKind[] Kinds, Func<DeviceStream, IReadOnlyList<Peer>> Open)[] Known =
    [
        ("pytorch", [DeviceKind.Cpu, DeviceKind.Cuda], stream => PyTorchPeer.Start(stream.Device)),
        ("opencv", [DeviceKind.Cpu], _ => [OpenCvPeer.Start()]),
        ("onednn", [DeviceKind.Cpu], stream => [new OneDnnPeer(stream)]),
        ("cudnn", [DeviceKind.Cuda], stream => [new CudnnPeer(stream)]),
        ("cublas", [DeviceKind.Cuda], stream => [new CublasPeer(stream)]),
    ];

    private PeerSet(IReadOnlyList<Peer> found, IReadOnlyList<string> missing)
    {
        Found = found;
        Missing = missing;
    }

    /// <summary>The names that <see cref="Find"/> knows.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Known.Select(known => known.Id)];

    /// <summary>Names of those that live in this process and queue their work on our stream.</summary>
    public static IReadOnlyList<string> InProcess { get; } = [.. Names.Where(name => name is not ("pytorch" or "opencv"))];

    /// <summary>Those that are installed and run on the device.</summary>
    public IReadOnlyList<Peer> Found { get; }

    /// <summary>Those that would run on this kind of device but could not be started: name and reason.</summary>
    public IReadOnlyList<string> Missing { get; }

    /// <summary>Looks for peers.</summary>
    /// <param name="stream">Where peers of this process queue their work.</param>
    /// <param name="names">Some of <see cref="Names"/>.</param>
    public static PeerSet Find(DeviceStream stream, IReadOnlyCollection<string> names)
    {
        List<Peer> found = [];
        List<string> missing = [];
        foreach (var (id, kinds, open) in Known.Where(known => names.Contains(known.Id)))
        {
            try
            {
                if (kinds.Contains(stream.Device.Kind)) found.AddRange(PeerException.Guard(() => open(stream)));
            }
            catch (PeerException e)
            {
                missing.Add($"{id}: {e.Message}");
            }
        }

        return new PeerSet(found, missing);
    }

    public void Dispose()
    {
        foreach (Peer peer in Found) peer.Dispose();
    }
}
