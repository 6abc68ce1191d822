using System.Collections.Concurrent;

namespace Kernels.Study;

/// <summary>An autoencoder of a seed and what it made.</summary>
/// <param name="Seed">Of the runs it serves.</param>
/// <param name="Error">Mean squared error in the last epoch, white being 1 and black -1.</param>
/// <param name="Images">New images and their classes.</param>
/// <param name="Sheet">
/// A row for each class: an image, what becomes of it, steps to another image of the class, what becomes of that, and that image.
/// </param>
internal sealed record AutoencoderResult(int Seed, double Error, Examples Images, byte[] Sheet);

/// <summary>The autoencoders of a study, one for each seed, each trained when a run first asks for its images.</summary>
internal sealed class Autoencoders(Device device, StudyData data, StudySettings settings)
{
    /// <summary>Images for the runs, in terms of the number of training images.</summary>
    private const int ImagesPerTrainingImage = 5;
    private const int MostImages = 50_000;
    private const int SheetSteps = 4;

    private readonly ConcurrentDictionary<int, Lazy<AutoencoderResult>> _results = new();

    /// <summary>What was made so far, by seed.</summary>
    public IReadOnlyList<AutoencoderResult> Results =>
        [.. _results.Values.Where(result => result.IsValueCreated).Select(result => result.Value).OrderBy(result => result.Seed)];

    public AutoencoderResult Of(int seed, CancellationToken stop) =>
        _results.GetOrAdd(seed, _ => new Lazy<AutoencoderResult>(() => Make(seed, stop))).Value;

    private AutoencoderResult Make(int seed, CancellationToken stop)
    {
        AutoencoderPlan plan = settings.Autoencoder;
        Examples train = data.Train with { Images = [.. data.Train.Images.Select(value => (float)data.Pixels.LevelOf(value))] };
        using DeviceStream stream = device.CreateStream();
        using Autoencoder autoencoder = new(device, stream, train, plan, settings.ImageHeight, seed);
        double error = 0;
        for (int epoch = 0; epoch < plan.EpochsOf(settings); epoch++)
        {
            stop.ThrowIfCancellationRequested();
            error = autoencoder.TrainEpoch(epoch);
        }

        float[] latents = autoencoder.Encode(train.Images);
        ILookup<int, int> members = Enumerable.Range(0, train.Count).ToLookup(place => train.Labels[place]);
        int count = Math.Min(MostImages, ImagesPerTrainingImage * train.Count);
        RandomKey key = StudyRandom.KeyFor(seed, RandomPurpose.Autoencoder, 1L << 41);
        int[] labels = new int[count];
        float[] mixed = new float[count * plan.Latents];
        for (int i = 0; i < count; i++)
        {
            // Every image is the first of as many pairs.
            int first = i % train.Count;
            labels[i] = train.Labels[first];
            int[] others = [.. members[labels[i]]];
            int second = others[StudyRandom.Below(others.Length, key, (ulong)(2 * i))];
            Mix(first, second, (1 + StudyRandom.Symmetric(key, (ulong)((2 * i) + 1))) / 2, mixed.AsSpan(i * plan.Latents, plan.Latents));
        }

        float[] images = [.. autoencoder.Decode(mixed).Select(level => (float)data.Pixels.ValueOf(level))];
        return new AutoencoderResult(seed, error, new Examples(images, labels, train.Features), Sheet());

        void Mix(int first, int second, double share, Span<float> target)
        {
            for (int k = 0; k < target.Length; k++)
            {
                target[k] = (float)((share * latents[(first * target.Length) + k])
                    + ((1 - share) * latents[(second * target.Length) + k]));
            }
        }

        byte[] Sheet()
        {
            List<float> levels = [];
            foreach (IGrouping<int, int> of in members.OrderBy(of => of.Key))
            {
                (int first, int second) = (of.First(), of.Take(2).Last());
                float[] steps = new float[(SheetSteps + 1) * plan.Latents];
                for (int step = 0; step <= SheetSteps; step++)
                    Mix(first, second, 1 - ((double)step / SheetSteps), steps.AsSpan(step * plan.Latents, plan.Latents));
                levels.AddRange(train.Images.AsSpan(first * train.Features, train.Features));
                levels.AddRange(autoencoder.Decode(steps));
                levels.AddRange(train.Images.AsSpan(second * train.Features, train.Features));
            }

            return [.. levels.Select(level => (byte)Math.Round(255 * Math.Clamp(level, 0, 1)))];
        }
    }
}
