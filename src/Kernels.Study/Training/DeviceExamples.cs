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

    public int[] HostLabels { get; }

    public int Count => HostLabels.Length;

    /// <summary>Uploads the rows of <paramref name="source"/> in this order; later work in the stream sees them.</summary>
    public void Upload(DeviceStream stream, Examples source, ReadOnlySpan<int> order)
    {
        float[] images = new float[source.Images.Length];
        for (int row = 0; row < order.Length; row++)
        {
            source.Images.AsSpan(order[row] * source.Features, source.Features).CopyTo(images.AsSpan(row * source.Features));
            HostLabels[row] = source.Labels[order[row]];
        }

        stream.Upload<float>(images, Images);
        stream.Upload<int>(HostLabels, Labels);
    }

    public void Dispose()
    {
        Images.Dispose();
        Labels.Dispose();
    }
}
