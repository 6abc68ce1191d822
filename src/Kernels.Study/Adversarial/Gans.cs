using System.Collections.Concurrent;
using System.Diagnostics;

namespace Kernels.Study;

/// <summary>
/// The GANs of a study, one for each seed: each is trained when a run first asks for its images, or taken from the file that an earlier
/// study left. Runs side by side that ask for the same one wait for it.
/// </summary>
/// <param name="device">Where they are trained.</param>
/// <param name="data">The training images are all that a GAN and the network that judges it see.</param>
/// <param name="settings">The study's.</param>
/// <param name="fileOf">Where the GAN of a seed is kept; null to keep none.</param>
internal sealed class Gans(Device device, StudyData data, StudySettings settings, Func<int, string>? fileOf = null)
{
    /// <summary>The recipe by which the network is trained that judges generated images.</summary>
    public const string Judge = "cnn+batch-norm";

    /// <summary>Images for the runs, in terms of the number of training images.</summary>
    private const int ImagesPerTrainingImage = 5;
    private const int MostImages = 50_000;

    private const int EpochsPerSave = 10;

    /// <summary>Images of a class that distances are measured over.</summary>
    private const int DistanceImages = 100;

    /// <summary>A generator is dead whose images are so much more alike than real ones.</summary>
    private const double DeadShare = 0.1;

    private readonly ConcurrentDictionary<int, Lazy<GanResult>> _results = new();
    private readonly float[] _levels = [.. data.Train.Images.Select(value => (float)data.Pixels.LevelOf(value))];

    private GanPlan Plan => settings.Gan;

    /// <summary>What was made or found so far, by seed.</summary>
    public IReadOnlyList<GanResult> Results =>
        [.. _results.Values.Where(result => result.IsValueCreated).Select(result => result.Value).OrderBy(result => result.Seed)];

    /// <summary>The GAN of a seed.</summary>
    /// <exception cref="OperationCanceledException">It was stopped; what it had learned is in its file.</exception>
    public GanResult Of(int seed, IStudyProgress progress, CancellationToken stop) =>
        _results.GetOrAdd(seed, _ => new Lazy<GanResult>(() => Make(seed, progress, stop))).Value;

    private GanResult Make(int seed, IStudyProgress progress, CancellationToken stop)
    {
        using DeviceStream stream = device.CreateStream();
        Examples train = data.Train with { Images = _levels };
        GanTraining training = new(device, stream, train, Plan, settings, seed);
        try
        {
            string conditions =
                $"{device.Id} {device.Name}, {data.Train.Count} images, {Plan.EpochsOf(settings)} epochs, seed {seed}, {Plan}";
            GanFile? file = fileOf is null ? null : new GanFile(fileOf(seed), conditions);
            string? refusal = null;
            GanProgress? known = file?.Load(training, out refusal);
            if (refusal is not null)
            {
                progress.OnNote($"{refusal}; the GAN of seed {seed} is trained again");
                training.Dispose();
                training = new GanTraining(device, stream, train, Plan, settings, seed);
            }

            known ??= new GanProgress();
            Train(training, seed, known, file, progress, stop);
            int[] labels = Labels();
            float[] images = known.Failure is null ? training.Images(labels) : [];
            if (known is { Failure: null, Quality: null })
            {
                Evaluate(stream, seed, known, images, labels, stop);
                file?.Save(training, known);
            }

            return Result(training, seed, known, images, labels) with { File = file?.Path };
        }
        finally
        {
            training.Dispose();
        }
    }

    private void Train(
        GanTraining training, int seed, GanProgress known, GanFile? file, IStudyProgress progress, CancellationToken stop)
    {
        int epochs = Plan.EpochsOf(settings);
        double before = known.Seconds;
        Stopwatch clock = Stopwatch.StartNew();
        double realDistance = Distances(_levels, data.Train.Labels).Average();
        while (known.Curve.Count < epochs && known.Failure is null)
        {
            if (stop.IsCancellationRequested)
            {
                if (file is not null)
                {
                    file.Save(training, known);
                    progress.OnNote($"the GAN of seed {seed} goes on after epoch {known.Curve.Count} next time: {file.Path}");
                }

                stop.ThrowIfCancellationRequested();
            }

            GanEpoch epoch = training.TrainEpoch(known.Curve.Count);
            known.Curve.Add(epoch);
            known.Seconds = before + clock.Elapsed.TotalSeconds;
            int number = known.Curve.Count;
            if (!epoch.IsFinite) known.Failure = $"a loss is not a number in epoch {number}";
            if (known.Failure is null && IsSheet(number, epochs)) AddSheet(training, known, realDistance);
            bool isEnd = number == epochs || known.Failure is not null;
            if (isEnd || number % EpochsPerSave == 0) file?.Save(training, known);
            progress.OnGan(new GanReport(seed, number, epochs, epoch, known.Failure));
        }
    }

    private bool IsSheet(int epoch, int epochs) => epoch == epochs || epoch * Plan.Sheets / epochs > (epoch - 1) * Plan.Sheets / epochs;

    private void AddSheet(GanTraining training, GanProgress known, double realDistance)
    {
        int epoch = known.Curve.Count, columns = Plan.SheetColumns;
        float[] levels = training.Sheet(columns, epoch);
        known.Sheets.Add(new GanSheet(epoch, [.. levels.Select(level => (byte)Math.Round(255 * Math.Clamp(level, 0, 1)))]));

        // All classes together: where the class counts nothing yet, an image may be of any.
        double distance = Distances(levels, new int[levels.Length / data.Train.Features])[0];
        if (!(distance > DeadShare * realDistance))
        {
            known.Failure =
                $"its images are all alike in epoch {epoch}: their mean distance is {distance:0.00}, of real ones {realDistance:0.00}";
        }
    }

    /// <summary>What the images were asked to be: as many of each class.</summary>
    private int[] Labels()
    {
        int classes = settings.Widths[^1];
        return [.. Enumerable.Range(0, Math.Min(MostImages, ImagesPerTrainingImage * data.Train.Count)).Select(i => i % classes)];
    }

    /// <summary>Trains a network on the training images that has no part in the study, and asks it what the images are.</summary>
    private void Evaluate(
        DeviceStream stream, int seed, GanProgress known, float[] images, int[] labels, CancellationToken stop)
    {
        Recipe recipe = Recipes.Find(Judge);
        using DeviceExamples train = new(device, data.Train), test = new(device, data.Test);
        using DeviceExamples generated = new(device, Standardized(images, labels));
        using NetworkTraining judge = new(device, stream, new TrainingSet(train), data.Pixels, recipe, settings, seed);
        using Evaluator evaluator = new(device, stream, settings.Widths[^1]);
        int epochs = settings.EpochsOf(recipe);
        for (int epoch = 0; epoch < epochs; epoch++) judge.TrainEpoch(epoch, stop);

        known.Answers = evaluator.Answers(judge.Evaluated, generated);
        int classes = settings.Widths[^1];
        double[] agreement = new double[classes];
        for (int label = 0; label < classes; label++)
        {
            int[] places = [.. Enumerable.Range(0, labels.Length).Where(i => labels[i] == label)];
            agreement[label] = places.Average(i => known.Answers[i] == label ? 1.0 : 0);
        }

        known.Quality = new GanQuality(
            evaluator.Measure(judge.Evaluated, test).Accuracy, agreement, Distances(images, labels), Distances(_levels, data.Train.Labels));
    }

    private GanResult Result(GanTraining training, int seed, GanProgress known, float[] images, int[] labels)
    {
        GanResult result = new(seed, Plan.EpochsOf(settings), known.Curve, known.Sheets, known.Seconds)
        {
            Failure = known.Failure,
            Quality = known.Quality,
            GeneratorParameters = training.GeneratorParameters,
            DiscriminatorParameters = training.DiscriminatorParameters,
        };
        if (known.Failure is not null) return result;
        Examples all = Standardized(images, labels);
        return result with
        {
            Images = all,
            Filtered = all.Where(i => known.Answers[i] == labels[i]),
            Neighbours = Neighbours(known.Sheets[^1]),
        };
    }

    private GanNeighbours Neighbours(GanSheet sheet)
    {
        int pixels = data.Train.Features, count = sheet.Levels.Length / pixels;
        float[] images = [.. sheet.Levels.Select(level => level / 255f)];
        float[] test = [.. data.Test.Images.Take(count * pixels).Select(value => (float)data.Pixels.LevelOf(value))];
        (int Place, double Distance)[] nearest = Nearest(images);
        byte[] levels =
            [.. nearest.SelectMany(image => data.Train.Images.AsSpan(image.Place * pixels, pixels).ToArray()).Select(data.Pixels.ByteOf)];
        return new GanNeighbours(levels, nearest.Average(image => image.Distance), Nearest(test).Average(image => image.Distance));

        (int Place, double Distance)[] Nearest(float[] others) =>
        [
            .. Enumerable.Range(0, others.Length / pixels).Select(i => Enumerable.Range(0, data.Train.Count).Select(place => (
                Place: place,
                Distance: ImageDistance.Between(others.AsSpan(i * pixels, pixels), _levels.AsSpan(place * pixels, pixels))))
                .MinBy(image => image.Distance)),
        ];
    }

    private Examples Standardized(float[] levels, int[] labels) =>
        new([.. levels.Select(level => (float)data.Pixels.ValueOf(level))], labels, data.Train.Features);

    /// <summary>For each class the mean distance between two of its first images; 0 for a class of fewer.</summary>
    private double[] Distances(float[] levels, int[] labels)
    {
        int pixels = data.Train.Features;
        double[] means = new double[Math.Max(1, labels.Max() + 1)];
        for (int label = 0; label < means.Length; label++)
        {
            int[] places = [.. Enumerable.Range(0, labels.Length).Where(i => labels[i] == label).Take(DistanceImages)];
            double sum = 0;
            for (int i = 0; i < places.Length; i++)
            {
                for (int j = 0; j < i; j++)
                    sum += ImageDistance.Between(levels.AsSpan(places[i] * pixels, pixels), levels.AsSpan(places[j] * pixels, pixels));
            }

            means[label] = places.Length < 2 ? 0 : sum / (places.Length * (places.Length - 1) / 2);
        }

        return means;
    }
}

/// <summary>The state of a GAN's training after an epoch.</summary>
internal sealed record GanReport(int Seed, int Epoch, int Epochs, GanEpoch Means, string? Failure);

/// <summary>The Euclidean distance of two images.</summary>
internal static class ImageDistance
{
    public static double Between(ReadOnlySpan<float> left, ReadOnlySpan<float> right)
    {
        float sum = 0;
        for (int i = 0; i < left.Length; i++)
        {
            float difference = left[i] - right[i];
            sum += difference * difference;
        }

        return Math.Sqrt(sum);
    }
}
