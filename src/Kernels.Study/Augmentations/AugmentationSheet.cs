namespace Kernels.Study;

/// <summary>Images as an augmentation leaves them: the first row as they are, each further one as an epoch would see them.</summary>
internal static class AugmentationSheet
{
    private const int Count = 12;
    private const int Epochs = 3;
    private const int Seed = 1;

    /// <summary>The sheet as an address that contains it.</summary>
    public static string Draw(Device device, StudyData data, RecipeAugmentation augmentation)
    {
        Examples train = data.Train;
        int count = Math.Min(Count, train.Count), width = FashionMnist.Side, height = train.Features / width;
        using DeviceStream stream = device.CreateStream();
        using InputLayers layers = new(augmentation, new InputShape(device, count, height, width, data.Pixels));
        using DeviceTensor<float> images = device.Upload<float>(train.Images.AsSpan(0, count * train.Features), count, train.Features);
        using DeviceTensor<ulong> samples = device.Upload<ulong>([.. Enumerable.Range(0, count).Select(i => (ulong)i)], count);
        using DeviceTensor<int> labels = device.Upload<int>(train.Labels.AsSpan(0, count), count);
        using DeviceTensor<ulong> keys = device.Allocate<ulong>(StepKeys.Count, 2);
        List<float[]> rows = [train.Images[..(count * train.Features)]];
        for (int epoch = 0; epoch < Epochs; epoch++)
        {
            ulong[] values = new ulong[2 * StepKeys.Count];
            StepKeys.Write(Seed, epoch, epoch, values);
            stream.Upload<ulong>(values, keys);
            float[] row = new float[count * train.Features];
            TrainingStep step = new(stream, keys, samples, labels);
            stream.Download(layers.Apply(step, new TrainingBatch(images, samples, labels)).Images, row);
            rows.Add(row);
        }

        return GreyImage.DataUri(
            count * width, rows.Count * height,
            (x, y) => data.Pixels.LevelOf(rows[y / height][(x / width * train.Features) + (y % height * width) + (x % width)]));
    }
}
