using System.Buffers.Binary;
using System.IO.Compression;
using Kernels.Study;
using Xunit;

namespace Kernels.Tests.Study;

public sealed class AugmentationTests
{
    [Fact]
    public void SheetsShowImagesAndWhatBecomesOfThem()
    {
        using Device device = Device.Open("cpu");
        float[] images = [.. Enumerable.Range(0, 2 * FashionMnist.Pixels).Select(i => i % 2)];
        Examples train = new(images, [0, 1], FashionMnist.Pixels);
        StudyData data = new(train, train, train) { Pixels = new Standardization(0.2, 0.4) };

        string address = AugmentationSheet.Draw(device, data, new RecipeAugmentation("Nothing is left.", () => [new BlackLayer()]));

        const string Start = "data:image/png;base64,";
        Assert.StartsWith(Start, address, StringComparison.Ordinal);
        (int width, int height, byte[] levels) = Unpack(Convert.FromBase64String(address[Start.Length..]));
        Assert.Equal((2 * FashionMnist.Side, 4 * FashionMnist.Side), (width, height));

        // Levels 0.2 and 0.6 of 255; what a layer makes 0 is the mean.
        Assert.Equal([51, 153, 51, 153], levels[..4]);
        Assert.All(levels[(width * FashionMnist.Side)..], level => Assert.Equal(51, level));
    }

    [Fact]
    public void AStepSeesTheChangedImages()
    {
        Recipe recipe = Recipes.Find("baseline") with { Augmentation = new("Nothing is left.", () => [new BlackLayer()]) };

        RunResult run = TrainerTests.Run(recipe, 1, StudyFixtures.SmallSettings, TestContext.Current.CancellationToken);

        // Of four classes of ten images each biases alone can be learned: the loss stays that of a guess.
        Assert.InRange(run.Curve[^1].Train.Loss, 1, 2);
        RunResult plain = TrainerTests.Run(
            recipe with { Augmentation = null }, 1, StudyFixtures.SmallSettings, TestContext.Current.CancellationToken);
        Assert.NotEqual(plain.Curve[0], run.Curve[0]);
    }

    private static (int Width, int Height, byte[] Levels) Unpack(byte[] png)
    {
        int width = BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(16)), height = BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(20));
        int length = BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(33));
        using ZLibStream stream = new(new MemoryStream(png, 41, length), CompressionMode.Decompress);
        byte[] rows = new byte[height * (width + 1)];
        stream.ReadExactly(rows);
        return (width, height, [.. rows.Where((_, i) => i % (width + 1) != 0)]);
    }

    private sealed class BlackLayer : InputLayer
    {
        private DeviceTensor<float> _y = null!;

        public override void Build(in InputShape shape) => _y = Images(shape);

        public override TrainingBatch Apply(in TrainingStep step, TrainingBatch batch)
        {
            DeviceTensor<float> y = Rows(_y, batch);
            step.Stream.Fill(y, 0f);
            return batch with { Images = y };
        }
    }
}
