namespace Kernels.Reference;

/// <summary>Boxes that are erased from images, and what stands there then.</summary>
public static class EraseReference
{
    private const double TwoTo32 = 4294967296.0;

    /// <summary>Cutout's squares for each sample, clipped; all 0 for a sample that is left alone.</summary>
    public static int[] CutoutBoxes(
        ulong[] ids, int holes, int side, double skipProbability, int height, int width, ulong seed, ulong offset, uint op)
    {
        int[] boxes = new int[4 * holes * ids.Length];
        for (int sample = 0; sample < ids.Length; sample++)
        {
            if (!IsChosen(ids[sample], skipProbability, seed, offset, op)) continue;
            for (int hole = 0; hole < holes; hole++)
            {
                uint[] words = AugmentKeyReference.Draw(seed, offset, ids[sample], op, (uint)hole);
                int top = (int)(words[0] / TwoTo32 * height) - (side / 2), left = (int)(words[1] / TwoTo32 * width) - (side / 2);
                int[] box =
                    [Math.Max(0, top), Math.Max(0, left), Math.Min(height, top + side), Math.Min(width, left + side)];
                box.CopyTo(boxes, 4 * ((sample * holes) + hole));
            }
        }

        return boxes;
    }

    /// <summary>Random erasing's rectangles for each sample; all 0 for one that is left alone, or for which no try fits.</summary>
    public static int[] RandomBoxes(
        ulong[] ids, int count, (double Low, double High) area, (double Low, double High) aspect, double skipProbability, bool clips,
        int height, int width, ulong seed, ulong offset, uint op)
    {
        int[] boxes = new int[4 * count * ids.Length];
        for (int sample = 0; sample < ids.Length; sample++)
        {
            if (!IsChosen(ids[sample], skipProbability, seed, offset, op)) continue;
            for (int box = 0; box < count; box++)
            {
                for (int attempt = 0; attempt < (clips ? 1 : 10); attempt++)
                {
                    uint[] words = AugmentKeyReference.Draw(seed, offset, ids[sample], op, (uint)((16 * box) + attempt));
                    double share = area.Low + (AugmentKeyReference.Unit(words[0]) * (area.High - area.Low));
                    double target = share / count * height * width;
                    double unit = AugmentKeyReference.Unit(words[1]);
                    double ratio = Math.Exp(Math.Log(aspect.Low) + (unit * (Math.Log(aspect.High) - Math.Log(aspect.Low))));
                    int rows = (int)Math.Floor(Math.Sqrt(target * ratio) + 0.5), columns = (int)Math.Floor(Math.Sqrt(target / ratio) + 0.5);
                    if (clips)
                        (rows, columns) = (Math.Min(rows, height), Math.Min(columns, width));
                    else if (rows >= height || columns >= width)
                        continue;
                    int top = (int)(words[2] / TwoTo32 * (height - rows + 1)), left = (int)(words[3] / TwoTo32 * (width - columns + 1));
                    new[] { top, left, top + rows, left + columns }.CopyTo(boxes, 4 * ((sample * count) + box));
                    break;
                }
            }
        }

        return boxes;
    }

    /// <summary>y = x outside of the boxes; inside, each sample's own normal numbers times a standard deviation.</summary>
    public static void Noise(
        double[] x, int[] boxes, int holes, double[] y, ImageReference images, double deviation, ulong[] ids, ulong seed, ulong offset,
        uint op)
    {
        images.ForEach((index, image, _, row, column) =>
        {
            uint[] own = PhiloxReference.Block(seed, ~offset, ids[image]);
            ulong sampleSeed = own[0] + (own[1] * 4294967296UL), first = 4 * ((op * 4294967296UL) + 65536);
            double normal = GaussianReference.Normal(sampleSeed, offset, first + (ulong)(index % images.Elements));
            y[index] = IsErased(boxes, image, holes, row, column) ? deviation * normal : x[index];
        });
    }

    /// <summary>y = x outside of the boxes, a value inside.</summary>
    public static void Fill(double[] x, int[] boxes, int holes, double[] y, ImageReference images, double value)
    {
        images.ForEach((index, image, _, row, column) =>
            y[index] = IsErased(boxes, image, holes, row, column) ? value : x[index]);
    }

    /// <summary>Whether one of an image's boxes has a pixel.</summary>
    public static bool IsErased(int[] boxes, int image, int holes, int row, int column) =>
        Enumerable.Range(image * holes, holes).Any(box => ImageReference.IsInBox(boxes, box, row, column));

    /// <summary>Whether a sample is changed at all.</summary>
    public static bool IsChosen(ulong id, double skipProbability, ulong seed, ulong offset, uint op)
    {
        int threshold = DropoutReference.Threshold(skipProbability);
        return threshold == 65536 || (AugmentKeyReference.Draw(seed, offset, id, op, 0x8000)[0] & 0xffff) < threshold;
    }
}
