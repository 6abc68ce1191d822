namespace Kernels.Study;

/// <summary>Images [Count, Features] and labels [Count] in device memory.</summary>
internal sealed class DeviceExamples : IDisposable
{
    public DeviceExamples(Device device, Examples source)
    {
        Images = device.Upload<float>(source.Images, source.Count, source.Features);
        Labels = device.Upload<int>(source.Labels, source.Count);
        HostLabels = source.Labels;
    }

    public DeviceTensor<float> Images { get; }

    public DeviceTensor<int> Labels { get; }

    public IReadOnlyList<int> HostLabels { get; }

    public int Count => HostLabels.Count;

    public void Dispose()
    {
        Images.Dispose();
        Labels.Dispose();
    }
}
