using Kernels.Study;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Study;

public sealed class MergingTests(TestDevices devices)
{
    private static readonly StudySettings Settings = StudyFixtures.SmallSettings with { Epochs = 3 };

    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void EveryDeviceTrainsAlike(string deviceId)
    {
        using Device cpu = Device.Open("cpu");
        RunResult expected = TrainTiny(cpu), measured = TrainTiny(devices.Open(deviceId));

        Assert.Equal(expected.Final.Train.Loss, measured.Final.Train.Loss, tolerance: 1e-3);
        Assert.Equal(expected.Merging!.Errors[0], measured.Merging!.Errors[0], tolerance: 1e-3);

        static RunResult TrainTiny(Device device)
        {
            using Trainer trainer = new(device, StudyFixtures.TinyData(), StudyFixtures.SmallSettings with { Epochs = 1 });
            return trainer.Run(Recipes.Find("cnn+smart"), 1, new TrainerTests.NoProgress(), TestContext.Current.CancellationToken);
        }
    }

    /// <summary>The same first weights, batches and pairs: what differs is what the recipe says.</summary>
    [Fact]
    public void EachControlIsAnotherRun()
    {
        RunResult smart = Train("cnn+smart"), detached = Train("cnn+smart-detached"), mean = Train("cnn+pair-mean");
        RunResult mixup = Train("cnn+pair-mixup");

        Assert.Distinct(((RunResult[])[smart, detached, mean, mixup, Train("cnn")]).Select(run => run.Final));
        Assert.Null(mean.Merging);
        Assert.Null(mixup.Merging);
        Assert.Equal([1, 3], smart.Merging!.Epochs);
        int pairs = 2 * 4 * 12;
        Assert.Equal(pairs + (2 * 4 * 12), smart.Merging.Levels.Length);
        Assert.Equal(smart.Merging.Levels[..pairs], detached.Merging!.Levels[..pairs]);
        Assert.NotEqual(smart.Merging.Levels, detached.Merging.Levels);
        Assert.True(smart.Merging.Errors[1] < smart.Merging.Errors[0]);
    }

    [Fact]
    public void RepeatsBitByBit()
    {
        RunResult first = Train("cnn+smart"), second = Train("cnn+smart");

        Assert.Equal(first.Curve, second.Curve);
        Assert.Equal(first.Merging!.Levels, second.Merging!.Levels);
        Assert.Equal(first.Merging.Errors, second.Merging.Errors);
    }

    [Fact]
    public void AnAutoencoderMixesImagesOfAClass()
    {
        using Device device = Device.Open("cpu");
        StudyData data = StudyFixtures.SmallData();
        AutoencoderResult first = Make(1), trained = Make(40);

        // The noise of the images is most of what is left.
        Assert.True(trained.Error < 0.8 * first.Error, $"{trained.Error} after {first.Error}");
        Assert.Equal(5 * data.Train.Count, trained.Images.Count);
        Assert.Equal(trained.Images.Images, Make(40).Images.Images);
        Assert.Equal(7 * 4 * 12, trained.Sheet.Length);

        // Each class has a bright pixel of its own: it is brighter in new images of the class than in others.
        Examples made = trained.Images;
        Assert.All(Enumerable.Range(0, 4), label =>
        {
            ILookup<bool, float> pixels = Enumerable.Range(0, made.Count).ToLookup(
                i => made.Labels[i] == label, i => made.Images[(i * 12) + label]);
            Assert.True(pixels[true].Average() > pixels[false].Average() + 0.1f, $"class {label}");
        });

        AutoencoderResult Make(int epochs) => new Autoencoders(device, data, Settings with { Epochs = epochs }).Of(
            seed: 3, TestContext.Current.CancellationToken);
    }

    private static RunResult Train(string name) =>
        TrainerTests.Run(Recipes.Find(name), seed: 4, Settings, TestContext.Current.CancellationToken);
}
